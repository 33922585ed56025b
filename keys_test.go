package main

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/weir-gateway/weir/internal/testkit"
)

// refused is what weir does without, as its admin interface tells it.
func (w *running) refused() string {
	w.t.Helper()
	_, body, err := get(w.admin + "/api/v1/refused")
	if err != nil {
		w.t.Fatal(err)
	}
	return body
}

// Keys of a real Consul lie over the file, live: good ones hold within moments,
// bad ones cost themselves, and what Consul said last stands while it is away.
func TestKeysOverTheFile(t *testing.T) {
	agent := testkit.StartConsul(t, "dc1", "")
	hello, _ := serveHello(t)
	agent.Put("weir/config/routes/shut", "{ path_prefix: /shut, function: f, access: { deny: [127.0.0.0/8] } }")
	file := filepath.Join(t.TempDir(), "weir.yaml")
	write(t, file, fmt.Sprintf("discovery: { consul: { address: %q, empty_after: 1s } }\n", agent.Address)+static(hello))
	w := startRun(t, file)
	status := func(path string) int {
		res, _ := w.get(path)
		return res.StatusCode
	}
	eventually(t, "a key that was there holds", func() bool { return status("/shut") == 403 })
	calls := loadOn(w.url + "/x")
	calls.more(t, 50)

	began := time.Now()
	agent.Put("weir/config/routes/more", "path_prefix: /more\nfunction: f\naccess:\n  deny: [127.0.0.1]\n")
	eventually(t, "a new key holds", func() bool { return status("/more") == 403 })
	t.Logf("a new key held after %v", time.Since(began))

	for key, value := range map[string]string{
		"functions/nobody/timeouts/request": "5s",
		"functions/f/timeouts/request":      "5",
		"functions/f/process":               "{ command: [/bin/sh] }",
		"listeners":                         "[]",
		"routes/garbage":                    "\x00\xff{{{",
		"routes/huge":                       strings.Repeat("# nothing\n", 50_000),
		"routes/twice":                      "{ path_prefix: /more, function: f }",
		"routes/nowhere":                    "{ path_prefix: /nowhere, function: nobody }",
		"folder/":                           "",
	} {
		agent.Put("weir/config/"+key, value)
	}
	agent.Put("weir/config/functions/f/concurrency/max_requests", "1000")
	eventually(t, "the good one among the bad holds", func() bool {
		said, _, code := w.weir("explain", "functions.f.concurrency")
		return code == 0 && strings.Contains(said, "1000") && strings.Contains(said, "consul consul:weir/config/functions/f/concurrency/max_requests")
	})
	eventually(t, "the bad ones are told", func() bool {
		return strings.Count(w.refused(), `"what": "consul:weir/config/`) == 8
	})
	said := w.refused()
	for _, want := range []string{"is 5 without a unit", `\"nobody\" is not under functions`, "only be said in a file", `\"listeners\" cannot be said here`, "repeats"} {
		if !strings.Contains(said, want) {
			t.Errorf("nobody is told that it %s:\n%s", want, said)
		}
	}
	if status("/more") != 403 || status("/shut") != 403 {
		t.Error("the bad ones cost good ones")
	}

	// An override goes before a key.
	w.says("", "config", "set", "functions/f/concurrency/max_requests", "900")
	agent.Put("weir/config/functions/f/concurrency/max_requests", "1100")
	agent.Delete("weir/config/routes/more")
	eventually(t, "the key is gone", func() bool { return status("/more") == 200 })
	w.says("900", "explain", "functions.f.concurrency")

	// Consul dies, and comes back with nothing: then nothing is believed.
	agent.Kill()
	eventually(t, "it is seen to be away", func() bool { return strings.Contains(w.stderr.String(), "keys cannot be read") }) // a restart between two queries is seen after a minute
	calls.more(t, 500)
	if status("/shut") != 403 {
		t.Error("the keys went with Consul")
	}
	agent.Restart()
	eventually(t, "an empty Consul is believed after a while", func() bool { return status("/shut") == 200 })
	agent.Put("weir/config/routes/shut", "{ path_prefix: /shut, function: f, access: { deny: [127.0.0.0/8] } }")
	eventually(t, "a key is put there again", func() bool { return status("/shut") == 403 })
	calls.more(t, 50)
	calls.end(t)
	w.says("consul:weir/config/routes/shut", "config", "history")
}
