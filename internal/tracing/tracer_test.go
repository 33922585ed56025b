package tracing

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/weir-gateway/weir/coldstart"
	"github.com/weir-gateway/weir/config"
	"github.com/weir-gateway/weir/internal/testkit"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		goleak.IgnoreAnyFunction("net/http.(*persistConn).readLoop"), // of the exporter's own transport, which it keeps
		goleak.IgnoreAnyFunction("net/http.(*persistConn).writeLoop"))
}

// A box takes what is written from any goroutine.
type box struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (x *box) Write(p []byte) (int, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.b.Write(p)
}

func (x *box) count(text string) int {
	x.mu.Lock()
	defer x.mu.Unlock()
	return strings.Count(x.b.String(), text)
}

// run makes a Tracer and runs it until the test ends; stop ends it before.
func run(t *testing.T, endpoint string, said *box) (tracer *Tracer, stop func()) {
	t.Helper()
	t.Setenv("OTEL_BSP_SCHEDULE_DELAY", "10") // milliseconds
	tracer, err := New(config.Tracing{OTLPEndpoint: endpoint, SampleRatio: 1}, "here", "v1", slog.New(slog.NewTextHandler(said, nil)))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	over := make(chan struct{})
	go func() {
		defer close(over)
		_ = tracer.Run(ctx)
	}()
	stop = func() {
		cancel()
		<-over
	}
	t.Cleanup(stop)
	return tracer, stop
}

func await(t *testing.T, what string, is func() bool) {
	t.Helper()
	for began := time.Now(); !is(); time.Sleep(time.Millisecond) {
		if time.Since(began) > 20*time.Second {
			t.Fatal("waited in vain for ", what)
		}
	}
}

// started is a start that took some time.
func started() coldstart.Phases {
	id := coldstart.StartID{Trace: [16]byte{1}, Span: [8]byte{2}}
	return coldstart.Phases{ID: id, Began: time.Now(), Cause: coldstart.Demand, Trigger: 1, Provision: 2, Boot: 3, Detect: 4}
}

func TestReceiverIsAwayAndBack(t *testing.T) {
	r, said := testkit.Receive(t), &box{}
	r.Answer(http.StatusBadRequest) // not one to try again
	tracer, stop := run(t, r.URL, said)
	for n := range 3 {
		tracer.StartEnded("f", started(), nil)
		await(t, "the spans to be counted as failed", func() bool { _, _, failed := tracer.Spans(); return failed == 5*(n+1) })
	}
	if n := said.count("cannot export spans"); n != 1 {
		t.Errorf("told %d times that the receiver does not take spans, want once", n)
	}
	r.Answer(http.StatusOK)
	tracer.StartEnded("f", started(), nil)
	await(t, "the spans", func() bool { return len(r.Spans()) == 5 })
	stop()
	exported, full, failed := tracer.Spans()
	if exported != 5 || full != 0 || failed != 15 || said.count("exported again") != 1 {
		t.Errorf("exported %d, full %d, failed %d; said %s", exported, full, failed, said.b.String())
	}
}

// A receiver that accepts connections and says nothing holds nobody up: what
// does not fit is lost and counted, and weir ends in time.
func TestReceiverThatHangs(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	said := &box{}
	tracer, stop := run(t, "http://"+ln.Addr().String(), said)
	const starts = 2 * maxWaiting / 5
	began := time.Now()
	for range starts {
		tracer.StartEnded("f", started(), errors.New("x"))
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("%d starts took %v", starts, took)
	}
	exported, full, _ := tracer.Spans()
	if exported != 0 || full != 5*starts-maxWaiting {
		t.Errorf("exported %d, and %d did not fit; want %d", exported, full, 5*starts-maxWaiting)
	}
	began = time.Now()
	stop()
	if took := time.Since(began); took > 2*lastExport {
		t.Errorf("the end took %v", took)
	}
	if said.count("not all spans were exported") != 1 {
		t.Errorf("said %s", said.b.String())
	}
}

// What is left at the end is exported.
func TestTheLastSpans(t *testing.T) {
	r := testkit.Receive(t)
	tracer, stop := run(t, r.URL+"/v1/traces", &box{}) // the whole of it may be said, too
	tracer.StartEnded("f", started(), nil)
	p := started()
	p.Release = time.Millisecond
	tracer.Released("f", p)
	tracer.Released("f", coldstart.Phases{Release: 1}) // of an instance that was put back
	stop()
	if n := len(r.Spans()); n != 6 {
		t.Errorf("%d spans, want 6", n)
	}
}
