package main

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/miekg/dns"
)

// answering is a server that answers with its name, on an address of the
// loopback.
func answering(t *testing.T, address, name string) (port string) {
	t.Helper()
	ln, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, name) })}
	go server.Serve(ln)
	t.Cleanup(func() { server.Close() })
	_, port, _ = net.SplitHostPort(ln.Addr().String())
	return port
}

// nameServer answers with the address that it is told.
func nameServer(t *testing.T, address *atomic.Value) string {
	t.Helper()
	packets, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &dns.Server{PacketConn: packets, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, question *dns.Msg) {
		reply := new(dns.Msg).SetReply(question)
		if q := question.Question[0]; q.Qtype == dns.TypeA {
			if r, err := dns.NewRR(q.Name + " 1 IN A " + address.Load().(string)); err == nil {
				reply.Answer = append(reply.Answer, r)
			}
		}
		w.WriteMsg(reply)
	})}
	go server.ActivateAndServe()
	t.Cleanup(func() { server.Shutdown() })
	return packets.LocalAddr().String()
}

// A function in each source: they are found, they move, and a source that goes
// away takes nobody along.
func TestSources(t *testing.T) {
	one, two := answering(t, "127.0.0.1:0", "one"), answering(t, "127.0.0.1:0", "two")
	document := func(port string) string { return fmt.Sprintf(`{"services": {"f": ["127.0.0.1:%s", 7]}}`, port) }

	dir := t.TempDir()
	endpoints := filepath.Join(dir, "endpoints.json")
	write(t, endpoints, document(one))
	var body, resolved atomic.Value
	body.Store(document(one))
	resolved.Store("127.0.0.1")
	answering(t, "127.0.0.2:"+one, "two") // the other address of the name
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, body.Load()) }))
	t.Cleanup(web.Close)
	names := nameServer(t, &resolved)

	settings := func(path string) string {
		return fmt.Sprintf(`listeners: [{ address: "127.0.0.1:0" }]
admin: { address: "127.0.0.1:0" }
discovery:
  file: { path: %s }
  http: { url: %q, interval: 100ms }
  dns: { servers: [%q], min_ttl: 100ms, max_ttl: 200ms, timeout: 200ms }
functions:
  file: { service: "file:f" }
  http: { service: "http:f" }
  dns: { service: "dns:f.internal:%s" }
routes: [{ path_prefix: /file, function: file }, { path_prefix: /http, function: http }, { path_prefix: /dns, function: dns }]
`, path, web.URL, names, one)
	}
	config := filepath.Join(dir, "weir.yaml")
	write(t, config, settings("endpoints.json"))
	w := startRun(t, config)
	all := func(want string) {
		t.Helper()
		for _, path := range []string{"/file", "/http", "/dns"} {
			eventually(t, path+" is answered by "+want, func() bool {
				_, got := w.get(path)
				return got == want
			})
		}
	}
	all("one")
	next := filepath.Join(dir, "next")
	write(t, next, document(two))
	if err := os.Rename(next, endpoints); err != nil {
		t.Fatal(err)
	}
	body.Store(document(two))
	resolved.Store("127.0.0.2")
	all("two")

	var refused []struct{ What, Reason string }
	_, list, err := get(w.admin + "/api/v1/refused")
	if err != nil || json.Unmarshal([]byte(list), &refused) != nil || len(refused) != 2 {
		t.Errorf("refused is %s, %v; want the sevens", list, err)
	}
	out, err := exec.Command(program(t), "routes", "--refused", "--admin", strings.TrimPrefix(w.admin, "http://")).Output()
	if err != nil || strings.Count(string(out), "it must be an address or a mapping, not a number") != 2 {
		t.Errorf("weir routes --refused: %v\n%s", err, out)
	}

	// Another file, while weir runs; then all sources say nonsense.
	write(t, filepath.Join(dir, "other.json"), document(one))
	write(t, config, settings("other.json"))
	w.signal(syscall.SIGHUP)
	eventually(t, "the other file is read", func() bool { _, got := w.get("/file"); return got == "one" })
	write(t, filepath.Join(dir, "other.json"), "{")
	body.Store("{}")
	resolved.Store("nowhere")
	eventually(t, "all are refused", func() bool {
		_, list, _ := get(w.admin + "/api/v1/refused")
		return strings.Contains(list, "other.json") && strings.Contains(list, "a document that is none")
	})
	for path, want := range map[string]string{"/file": "one", "/http": "two", "/dns": "two"} {
		if _, got := w.get(path); got != want {
			t.Errorf("%s is answered by %q, want %s still", path, got, want)
		}
	}
}
