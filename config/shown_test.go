package config

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"
)

func TestDurations(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0s", time.Minute: "1m", 5 * time.Minute: "5m", time.Hour: "1h", 90 * time.Second: "1m30s",
		10 * time.Minute: "10m", 250 * time.Millisecond: "250ms", 24 * time.Hour: "24h", 61 * time.Minute: "1h1m", time.Hour + time.Second: "1h0m1s",
	} {
		if got := durationText(d); got != want {
			t.Errorf("%v: %s, want %s", d, got, want)
		}
		if back, err := time.ParseDuration(durationText(d)); err != nil || back != d {
			t.Errorf("%v comes back as %v, %v", d, back, err)
		}
	}
}

const fullDocument = `
region: us-east
listeners: [{ address: "127.0.0.1:1", trusted_proxies: [10.0.0.0/8] }]
functions:
  hello:
    endpoints: ["127.0.0.1:9001", { address: "127.0.0.1:9002", region: eu-west, zone: b, weight: 3, slots: 7 }]
    timeouts: { request: 2s }
  report:
    cold_start: { scaler: process, idle_after: 90s }
    process: { command: [/bin/report, "{{port}}", "yes", "5", "a: b"], dir: /, env: { TOKEN: hunter2 } }
  empty: { endpoints: [] }
routes:
  - { hosts: [API.example.com], path_prefix: /report, function: report }
  - { function: hello }
`

// Every key of the configuration is shown, as what YAML calls it, and means the
// same when it is read again.
func TestShownIsReadableAgain(t *testing.T) {
	cfg, err := Parse("test.yaml", []byte(fullDocument))
	if err != nil {
		t.Fatal(err)
	}
	asJSON, err := json.Marshal(Shown{Config: cfg})
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range [][]byte{asJSON, Shown{Config: cfg}.YAML()} {
		if bytes.Contains(text, []byte("hunter2")) {
			t.Errorf("a secret is shown:\n%s", text)
		}
		again, err := Parse("again.yaml", bytes.ReplaceAll(text, []byte(hidden), []byte("hunter2")))
		if err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		if twice, err := json.Marshal(Shown{Config: again}); err != nil || !bytes.Equal(asJSON, twice) {
			t.Errorf("%s\nbecame\n%s, %v", text, twice, err)
		}
	}
	for _, want := range []string{
		"\nregion: us-east\nzone: \"\"\nlisteners:\n  - name: \"127.0.0.1:1\"\n    address: ", "\n    trusted_proxies: [\"10.0.0.0/8\"]\n",
		"\n      command: [\"/bin/report\",\"{{port}}\",\"yes\",\"5\",\"a: b\"]\n", "\n        TOKEN: \"(hidden)\"\n",
	} {
		if text := string(Shown{Config: cfg}.YAML()); !strings.Contains(text, want) {
			t.Errorf("%q is not in\n%s", want, text)
		}
	}
}
