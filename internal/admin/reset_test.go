package admin

import (
	"strings"
	"testing"
)

func TestReset(t *testing.T) {
	w := open(t, document)
	post := func(path, fields string) (int, string) {
		r, body := w.ask("POST " + path + " HTTP/1.1\r\nHost: localhost\r\n" + fields + "Content-Length: 0\r\n\r\n")
		return r.StatusCode, body
	}
	f := func(status int, want, path, fields string) {
		t.Helper()
		if got, body := post(path, fields); got != status || !strings.Contains(body, want) {
			t.Errorf("POST %s: %d %s", path, got, body)
		}
	}
	f(200, `"reset": true`, "/api/v1/functions/report/reset", "")
	f(200, `"reset": false`, "/api/v1/functions/hello/reset", "")
	f(404, "nobody", "/api/v1/functions/nobody/reset", "")
	f(403, "web page", "/api/v1/functions/report/reset", "Origin: https://example.com\r\n")
	if r, _ := w.get("/api/v1/functions/report/reset"); r.StatusCode != 405 || r.Header.Get("Allow") != "POST" {
		t.Errorf("GET: %d, Allow %q", r.StatusCode, r.Header.Get("Allow"))
	}
}
