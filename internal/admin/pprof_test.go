package admin

import (
	"strings"
	"testing"
)

func TestProfiles(t *testing.T) {
	f := func(w *window, path string, status int, says string) {
		t.Helper()
		r, body := w.get(path)
		if r.StatusCode != status || !strings.Contains(body, says) {
			t.Errorf("%s: %d, want %d with %q\n%.300s", path, r.StatusCode, status, says, body)
		}
	}
	w := open(t, document)
	f(w, "/debug/pprof/", 404, "admin.pprof: true")
	f(w, "/debug/pprof/goroutine?debug=2", 404, "admin.pprof: true")

	w = open(t, "admin: { pprof: true }\n"+document)
	f(w, "/debug/pprof/", 200, "full goroutine stack dump")
	f(w, "/debug/pprof/goroutine?debug=2", 200, "goroutine ")
	f(w, "/debug/pprof/heap", 200, "\x1f\x8b") // a profile is compressed
	f(w, "/debug/pprof/profile?seconds=1", 200, "\x1f\x8b")

	f(open(t, ""), "/debug/pprof/", 404, "admin.pprof: true") // no table stands yet
}
