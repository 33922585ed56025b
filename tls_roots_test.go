package main

import (
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/weir-gateway/weir/internal/testkit"
)

// Without a ca of its own a function's endpoints are held against the system's
// roots: those that they have signed are called, others are not.
func TestSystemRoots(t *testing.T) {
	program(t) // before the environment changes: building may need the real roots
	system, stranger := testkit.NewAuthority(t), testkit.NewAuthority(t)
	t.Setenv("SSL_CERT_FILE", system.File) // crypto/x509 reads both where weir starts
	t.Setenv("SSL_CERT_DIR", t.TempDir())
	serve := func(cfg *tls.Config) string {
		s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "hello over TLS")
		}))
		s.TLS = cfg
		s.StartTLS()
		t.Cleanup(s.Close)
		return s.URL
	}
	file := filepath.Join(t.TempDir(), "weir.yaml")
	write(t, file, fmt.Sprintf(`listeners: [{ address: "127.0.0.1:0" }]
admin: { address: "127.0.0.1:0" }
telemetry: { access_log: { output: none } }
functions:
  known: { endpoints: [%q] }
  unknown: { endpoints: [%q] }
  misnamed: { endpoints: [%q] }
  own: { endpoints: [%q], tls: { ca_file: %q } }
routes:
  - { path_prefix: /known, function: known }
  - { path_prefix: /unknown, function: unknown }
  - { path_prefix: /misnamed, function: misnamed }
  - { path_prefix: /own, function: own }
`, serve(system.Server("127.0.0.1")), serve(stranger.Server("127.0.0.1")), serve(system.Server("elsewhere.example")),
		serve(system.Server("127.0.0.1")), stranger.File))
	w := startRun(t, file)

	if res, body := w.get("/known"); res.StatusCode != 200 || body != "hello over TLS" {
		t.Errorf("signed by the system's authority: %s %q", res.Status, body)
	}
	for path, why := range map[string]string{
		"/unknown":  "signed by nobody the system knows",
		"/misnamed": "signed for another name",
		"/own":      "signed by the system's authority, where the function has one of its own",
	} {
		res, body := w.get(path)
		if res.StatusCode != 502 || !strings.Contains(body, `"cause":"UF"`) || res.Header.Get("Proxy-Status") != "weir; error=tls_certificate_error" {
			t.Errorf("%s: %s, Proxy-Status %q, %s", why, res.Status, res.Header.Get("Proxy-Status"), body)
		}
	}
}
