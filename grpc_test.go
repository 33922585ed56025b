package main

import (
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
)

// A gRPC client is told of a fault in the head of an answer without a body; what
// is counted is the fault, or no alert would ever ring.
func TestFaultsOfGrpcCalls(t *testing.T) {
	file := filepath.Join(t.TempDir(), "weir.yaml")
	write(t, file, strings.Replace(static(), "path_prefix: /", "path_prefix: /f", 1))
	w := startRun(t, file)
	for _, c := range []struct{ path, contentType, kind, status, message, pushback, retry string }{
		{"/f", "application/grpc+proto", "application/grpc", "14", "The function has never had an endpoint.", "1000", "1"},
		{"/none", "application/grpc-web-text", "application/grpc-web-text", "12", "No route matches this host and path.", "", ""},
	} {
		r, err := http.Post(w.url+c.path, c.contentType, strings.NewReader("\x00\x00\x00\x00\x00"))
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(r.Body)
		r.Body.Close()
		h := r.Header
		if err != nil || r.StatusCode != 200 || len(body) > 0 || r.ContentLength != 0 || h.Get("Content-Type") != c.kind ||
			h.Get("Grpc-Status") != c.status || h.Get("Grpc-Message") != c.message ||
			h.Get("Grpc-Retry-Pushback-Ms") != c.pushback || h.Get("Retry-After") != c.retry ||
			h.Get("Proxy-Status") == "" || h.Get("X-Request-Id") == "" {
			t.Errorf("%s: %s %v %q %v", c.path, r.Status, h, body, err)
		}
	}
	eventually(t, "the fault is counted", func() bool {
		return w.metric("weir_http_requests_total", `function="f"`, `code="503"`) == 1 && w.metric("weir_http_errors_total", `cause="NC"`) == 1
	})
	if r, err := http.Post(w.url+"/f", "application/json", strings.NewReader("{}")); err != nil || r.StatusCode != 503 {
		t.Errorf("%v %v", r, err)
	}
}
