package admin

import (
	"bytes"
	"encoding/json"
	"testing"
	"time"

	"github.com/weir-gateway/weir/config"
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

// Every key of the configuration is shown, as what YAML calls it.
func TestShownIsReadableAgain(t *testing.T) {
	cfg, err := config.Parse("test.yaml", []byte(document))
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(shown{cfg})
	if err != nil {
		t.Fatal(err)
	}
	// JSON is YAML; what it shows is a configuration that means the same.
	again, err := config.Parse("again.yaml", bytes.ReplaceAll(text, []byte(hidden), []byte("hunter2")))
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	if twice, err := json.Marshal(shown{again}); err != nil || !bytes.Equal(text, twice) {
		t.Errorf("%s\nbecame\n%s, %v", text, twice, err)
	}
}
