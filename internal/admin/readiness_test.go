package admin

import "testing"

func TestReadiness(t *testing.T) {
	w := open(t, document)
	f := func(path string, status int, body string) {
		t.Helper()
		if r, got := w.get(path); r.StatusCode != status || got != body {
			t.Errorf("%s: %d %q, want %d %q", path, r.StatusCode, got, status, body)
		}
	}
	w.ready.Set("config", true)
	w.ready.Set("draining", true)
	f("/livez", 200, "ok\n")
	f("/healthz", 200, "ok\n")
	f("/readyz", 503, "[-] table failed\n[-] listeners failed\nnot ready\n")
	w.ready.Set("table", true)
	w.ready.Set("listeners", true)
	f("/readyz", 200, "ready\n")
	f("/readyz?verbose", 200, "[+] config ok\n[+] table ok\n[+] listeners ok\n[+] draining ok\nready\n")
	w.ready.Set("draining", false)
	f("/readyz?verbose=1", 503, "[+] config ok\n[+] table ok\n[+] listeners ok\n[-] draining failed\nnot ready\n")
	if w.ready.Ready() {
		t.Error("ready although it drains")
	}
}
