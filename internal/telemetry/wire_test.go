package telemetry

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weir-gateway/weir/coldstart"
	"github.com/weir-gateway/weir/discovery"
	"github.com/weir-gateway/weir/proxy"
	"github.com/weir-gateway/weir/proxy/http1"
	"github.com/weir-gateway/weir/proxy/table"
)

// The line is written when the whole call has passed through the buffers that
// its head lies in. What it says must still be what the client sent.
func TestLinesOfCallsOnTheWire(t *testing.T) {
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// Whole, before the answer: one that overtakes the upload closes the
		// connection, and how soon an upload has ended is the machine's affair.
		body, _ := io.ReadAll(r.Body)
		_, _ = w.Write(body)
	}))
	defer backend.Close()
	path := filepath.Join(t.TempDir(), "access.log")
	tel, log := with(t, path), slog.New(slog.DiscardHandler)
	cfg := parse(t, "functions: { f: { endpoints: ['"+backend.Listener.Addr().String()+"'] } }\nroutes: [{ function: f }]\n")
	activator := coldstart.NewActivator(nil, tel, log)
	keeper := table.NewKeeper(cfg, table.Parts{
		Provider: discovery.NewStatic(log), Activator: activator, NewTransport: http1.NewPool, NewMeter: tel.NewMeter, Log: log,
	})
	watcher, err := http1.NewWatcher()
	if err != nil {
		t.Fatal(err)
	}
	server := http1.NewServer(cfg.Listeners[0], time.Minute, proxy.New(keeper, tel, log), watcher, log)
	ctx, cancel := context.WithCancel(context.Background())
	var work sync.WaitGroup
	work.Go(func() { _ = keeper.Run(ctx) })
	work.Go(func() { _ = activator.Run(ctx) })
	work.Go(func() { _ = watcher.Run(ctx) })
	work.Go(func() { _ = tel.Run(ctx) })
	<-keeper.Ready()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	work.Go(func() { _ = server.Serve(ln) })

	nc, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	_ = nc.SetDeadline(time.Now().Add(10 * time.Second))
	br := bufio.NewReader(nc)
	body := bytes.Repeat([]byte("0123456789"), 100_000)
	go func() {
		fmt.Fprintf(nc, "POST /upload?secret=1 HTTP/1.1\r\nHost: API.example.com:8080\r\nUser-Agent: one/1\r\n"+
			"traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\nContent-Length: %d\r\n\r\n", len(body))
		_, _ = nc.Write(body)
		_, _ = io.WriteString(nc, "GET /second HTTP/1.1\r\nHost: other\r\nUser-Agent: two/2\r\n\r\nnonsense\r\n\r\n")
	}()
	for range 3 {
		r, err := http.ReadResponse(br, nil)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, r.Body)
	}
	_ = nc.Close()
	_ = server.Drain(ctx)
	for _, ep := range keeper.Table().Functions["f"].Set().Endpoints {
		ep.Conns.CloseIdle()
	}
	cancel()
	work.Wait()

	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for line := range strings.Lines(string(text)) {
		var l struct {
			TraceID                string `json:"trace_id"`
			IP                     string `json:"client_ip"`
			UserAgent              string `json:"user_agent"`
			Method, Host, Path     string
			Function, Cause, Error string
			Status                 int
			In                     int64   `json:"bytes_in"`
			Out                    int64   `json:"bytes_out"`
			Took                   float64 `json:"duration_ms"`
		}
		if err := json.Unmarshal([]byte(line), &l); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		if l.Took < 0 || l.Took > 10_000 {
			t.Errorf("took %v ms", l.Took)
		}
		if l.Cause != "" {
			l.Out = 0 // the problem's
		}
		got = append(got, fmt.Sprint(l.TraceID, " ", l.IP, " ", l.UserAgent, " ", l.Method, " ", l.Host, l.Path, " ", l.Function, " ", l.Status, l.Cause, " ", l.In, " ", l.Out))
	}
	want := []string{
		"0af7651916cd43dd8448eb211c80319c 127.0.0.1 one/1 POST api.example.com/upload f 200 1000000 1000000",
		" 127.0.0.1 two/2 GET other/second f 200 0 0",
		" 127.0.0.1    _other 400DPE 0 0",
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
