package bench

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"
)

// A platform is one behind a webhook scaler: it raises an instance in this
// process when it is asked to, and the instance says itself that it is ready.
type platform struct {
	b   *testing.B
	url string

	mu       sync.Mutex // guards all below
	instance *http.Server
	posted   time.Time
	took     []time.Duration // from posting ready to the call
}

func newPlatform(b *testing.B) *platform {
	p := &platform{b: b}
	p.url = "http://" + p.serve(&http.Server{Handler: p})
	return p
}

// serve has a server listen on a free port until the benchmark ends.
func (p *platform) serve(s *http.Server) (addr string) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		p.b.Fatal(err)
	}
	go func() { _ = s.Serve(ln) }()
	p.b.Cleanup(func() { _ = s.Close() })
	return ln.Addr().String()
}

// ServeHTTP takes weir's wishes.
func (p *platform) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var wish struct {
		Action   string
		Callback struct{ URL, Token string }
	}
	if err := json.NewDecoder(r.Body).Decode(&wish); err != nil {
		p.b.Error(err)
	}
	switch wish.Action {
	case "ensure":
		w.WriteHeader(http.StatusAccepted)
		time.AfterFunc(20*time.Millisecond, func() { p.start(wish.Callback.URL+"/ready", wish.Callback.Token) })
	case "limit":
		p.mu.Lock()
		if p.instance != nil {
			_ = p.instance.Close()
			p.instance = nil
		}
		p.mu.Unlock()
		_, _ = io.WriteString(w, `{"instances": []}`)
	default:
		w.WriteHeader(http.StatusNoContent)
	}
}

func (p *platform) start(ready, token string) {
	instance := &http.Server{Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		p.called()
	})}
	addr := p.serve(instance)
	post, err := http.NewRequest(http.MethodPost, ready, strings.NewReader(fmt.Sprintf(`{"address": %q}`, addr)))
	if err != nil {
		p.b.Error(err)
		return
	}
	post.Header.Set("Authorization", "Bearer "+token)
	p.mu.Lock()
	p.instance, p.posted = instance, time.Now()
	p.mu.Unlock()
	answer, err := http.DefaultClient.Do(post)
	if err != nil || answer.StatusCode != http.StatusNoContent {
		p.b.Errorf("ready: %v %v", answer, err)
		return
	}
	_ = answer.Body.Close()
}

// called notes that the call which was held for the instance is there.
func (p *platform) called() {
	p.mu.Lock()
	p.took = append(p.took, time.Since(p.posted))
	p.mu.Unlock()
}

// report prints what the benchmark took from the POSTs to the calls.
func (p *platform) report() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for name, q := range map[string]float64{"p50-µs": .5, "p99-µs": .99, "worst-µs": 1} {
		p.b.ReportMetric(float64(quantile(p.took, q).Microseconds()), name)
	}
}

// BenchmarkReady: from an instance's POST that it is ready to the call that was
// held for it, at the instance (C14), and the same without a gateway: a process
// that connects to whoever posts and sends a request. Run with -benchtime 200x.
func BenchmarkReady(b *testing.B) {
	b.Run("weir", benchmarkReady)
	b.Run("bare", benchmarkReadyBare)
}

func benchmarkReady(b *testing.B) {
	p := newPlatform(b)
	token := b.TempDir() + "/token"
	writeFile(b, token, strings.Repeat("0123456789abcdef", 2))
	l := run(b, fmt.Sprintf("scalers: { platform: { type: webhook, url: %q, token_file: %q } }\n", p.url, token),
		"  f:\n    cold_start: { scaler: platform, idle_after: 5ms, min_up: 1ms, grace: 1ms }\n    webhook: { x: y }\n")
	for b.Loop() {
		await(b, "the function to be at zero", func() bool { return l.state("f") == "cold" })
		r, err := http.Get("http://" + l.addr + "/f")
		if err != nil || r.StatusCode != 200 {
			b.Fatal(r, err)
		}
		_ = r.Body.Close()
	}
	p.report()
}

func benchmarkReadyBare(b *testing.B) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "BENCH_BARE=1")
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	url, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		b.Fatal(err)
	}
	p := newPlatform(b)
	for b.Loop() {
		time.Sleep(20 * time.Millisecond)
		called := len(p.took)
		p.start(strings.TrimSpace(url), "")
		await(b, "the call", func() bool { p.mu.Lock(); defer p.mu.Unlock(); return len(p.took) > called })
		_ = p.instance.Close()
	}
	p.report()
}

// serveBare is this binary as one that calls whoever says that it is ready.
func serveBare() {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	fmt.Println("http://" + ln.Addr().String())
	panic(http.Serve(ln, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var ready struct{ Address string }
		if err := json.NewDecoder(r.Body).Decode(&ready); err != nil {
			panic(err)
		}
		w.WriteHeader(http.StatusNoContent)
		conn, err := net.Dial("tcp", ready.Address)
		if err != nil {
			panic(err)
		}
		defer conn.Close()
		if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: f\r\n\r\n"); err != nil {
			panic(err)
		}
		_, _ = conn.Read(make([]byte, 1024))
	})))
}
