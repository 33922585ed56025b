package main

import (
	"path/filepath"
	"strings"
	"testing"
)

const explainable = `listeners: [{ address: ":8080" }]
peers: { addresses: ["10.0.0.1:8080"] }
defaults: { timeouts: { request: 5s } }
functions:
  web: { endpoints: ["127.0.0.1:9001"], fallback: { status: 202 } }
  next: { endpoints: ["127.0.0.1:9002"], timeouts: { connect: 2s }, rate_limit: { requests: 60, window: 1m, key: client, shared: true } }
  secret: { cold_start: { scaler: process }, process: { command: [/bin/true], env: { TOKEN: hunter2 } } }
routes:
  - { path_prefix: /, function: web }
  - { path_prefix: /shop, headers: [{ name: x-canary, exact: "1" }], function: next }
  - { hosts: [api.example.com], path_prefix: /only, methods: [POST], function: next }
`

func TestExplain(t *testing.T) {
	file := filepath.Join(t.TempDir(), "weir.yaml")
	write(t, file, explainable)
	for _, c := range []struct {
		args []string
		code int
		says []string
	}{
		{[]string{"--url", "https://api.example.com/shop/x?y=1"}, 0, []string{
			"GET api.example.com/shop/x\n", "goes to web, by routes[0] (file " + file + ":9:5)", "because  path_prefix /", "note     what web cannot answer has the answer 202 after circuit_open, no_endpoint, ",
			"not by   routes[1], path_prefix /shop to next (file " + file + ":10:5): it asks for header x-canary is \"1\""}},
		{[]string{"--url", "http://h/shop", "--header", "X-Canary: 1"}, 0, []string{"goes to next, by routes[1]", "because  header x-canary is \"1\"", "before   routes[0]"}},
		{[]string{"--url", "http://API.example.com:8443/only", "--method", "POST"}, 0, []string{"goes to next, by routes[2]", "because  host api.example.com", "because  method POST",
			"note     of next come in 60 per 1m, 60 at once, by client; beyond it the answer is 429; the routers among peers share this out evenly"}},
		{[]string{"--url", "http://h/a/../shop%2fx", "--json"}, 0, []string{`"path": "/shop%2Fx"`, `"function": "web"`, "not all endpoints read alike"}},
		{[]string{"--url", "http://h/../x"}, 2, []string{"weir answers 400 to such a path", "above the root"}},
		{[]string{"--url", "/shop"}, 2, []string{"the URL must be one of http or https"}},
		{[]string{"--url", "http://h/", "--header", "nonsense"}, 2, []string{`"nonsense" is no header`}},
		{[]string{"functions.next.timeouts"}, 0, []string{
			"functions.next.timeouts.connect", "file " + file + ":6:63", "functions.next.timeouts.request", "(defaults)", "functions.next.timeouts.idle", "default"}},
		{[]string{"functions.secret.process.env"}, 0, []string{"(hidden)"}},
		{[]string{"functions.nobody"}, 1, []string{"there is nothing at functions.nobody"}},
		{[]string{}, 2, []string{"say --url"}},
		{[]string{"--url", "http://h/", "functions"}, 2, []string{"take one of them"}},
	} {
		w := start(t, append([]string{"explain", "-c", file}, c.args...)...)
		if code := w.ended(); code != c.code {
			t.Errorf("explain %v: exit code %d, want %d", c.args, code, c.code)
		}
		said := w.stdout.String() + w.stderr.String()
		for _, want := range c.says {
			if !strings.Contains(said, want) {
				t.Errorf("explain %v: no %q in\n%s", c.args, want, said)
			}
		}
		if strings.Contains(said, "hunter2") {
			t.Errorf("explain %v tells a secret:\n%s", c.args, said)
		}
	}
}

// A running gateway explains itself by the very table that carries its calls,
// with what lies over its file.
func TestExplainRunning(t *testing.T) {
	file := filepath.Join(t.TempDir(), "weir.yaml")
	write(t, file, static("127.0.0.1:9001"))
	w := startRun(t, file)
	w.says("goes to f, by routes[0] (file "+file, "explain", "--url", w.url+"/x")
	w.says("", "config", "set", "functions/f/timeouts/request", "3s", "--author", "alice")
	eventually(t, "the override is explained", func() bool {
		said, _, code := w.weir("explain", "functions.f.timeouts")
		return code == 0 && strings.Contains(said, `"3s"`) && strings.Contains(said, "override functions.f.timeouts.request")
	})
	w.says(`"layer": "override"`, "explain", "functions.f.timeouts.request", "--json")
}
