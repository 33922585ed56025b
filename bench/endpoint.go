package bench

import (
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"
)

// A Behaviour is how an endpoint answers.
type Behaviour struct {
	Name      string        // told in X-Region
	Delay     time.Duration // of every answer
	SlowShare float64       // of calls that take Slow instead
	Slow      time.Duration
	BadShare  float64 // of calls that end in one of the faults
}

// An Endpoint is an HTTP server on loopback that behaves as it is told to. A
// call to /hold?ms=100 takes so long.
type Endpoint struct {
	Addr  string
	Calls atomic.Int64
	b     Behaviour
	ln    net.Listener
	srv   *fasthttp.Server
}

// StartEndpoint listens at an address, which may have port 0.
func StartEndpoint(addr string, b Behaviour) (*Endpoint, error) {
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("an endpoint: %w", err)
	}
	e := &Endpoint{Addr: ln.Addr().String(), b: b, ln: ln}
	e.srv = &fasthttp.Server{Handler: e.serve, NoDefaultServerHeader: true, NoDefaultDate: true, NoDefaultContentType: true,
		Concurrency: 1 << 20, Logger: silent{}, CloseOnShutdown: true, ReadBufferSize: 16 << 10}
	go func() { _ = e.srv.Serve(ln) }() // ends with the listener; Stop waits for it
	return e, nil
}

// Stop ends it at once, and with it all calls.
func (e *Endpoint) Stop() {
	_ = e.ln.Close()
	_ = e.srv.Shutdown()
}

type silent struct{}

func (silent) Printf(string, ...any) {}

var hello = []byte("hello, world\n")

func (e *Endpoint) serve(ctx *fasthttp.RequestCtx) {
	e.Calls.Add(1)
	wait := e.b.Delay
	if string(ctx.Path()) == "/hold" {
		ms, _ := strconv.Atoi(string(ctx.QueryArgs().Peek("ms")))
		wait = time.Duration(ms) * time.Millisecond
	}
	if e.b.SlowShare > 0 && rand.Float64() < e.b.SlowShare {
		wait = e.b.Slow
	}
	if wait > 0 {
		<-time.NewTimer(wait).C
	}
	if e.b.BadShare > 0 && rand.Float64() < e.b.BadShare {
		fault(ctx)
		return
	}
	if e.b.Name != "" {
		ctx.Response.Header.Set("X-Region", e.b.Name)
	}
	ctx.SetBody(hello)
}

// fault answers in one of the ways in which real ones go wrong.
func fault(ctx *fasthttp.RequestCtx) {
	ctx.HijackSetNoResponse(true)
	kind := rand.IntN(4)
	ctx.Hijack(func(c net.Conn) {
		switch kind {
		case 0: // a reset
			if tcp, ok := c.(interface{ UnsafeConn() net.Conn }); ok {
				c = tcp.UnsafeConn()
			}
			if tcp, ok := c.(*net.TCPConn); ok {
				_ = tcp.SetLinger(0)
			}
		case 1: // garbage
			_, _ = c.Write([]byte("\x16\x03\x01 this is not HTTP\r\n\r\n"))
		case 2: // a head that promises more than comes
			_, _ = c.Write([]byte("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf"))
		case 3: // nothing, until the other side gives up
			_ = c.SetReadDeadline(time.Now().Add(30 * time.Second))
			_, _ = c.Read(make([]byte, 1))
		}
		_ = c.Close()
	})
}
