package http1_test

import (
	"bufio"
	"io"
	"net"
	"sync/atomic"
	"testing"

	"github.com/weir-gateway/weir/proxy/http1"
	"github.com/weir-gateway/weir/proxy/message"
	"github.com/weir-gateway/weir/proxy/table"
)

// An answer whose body panics, before a byte of it has gone to the client or
// after the head has.
type trap struct {
	message.Upstream
	later bool
}

func (tr trap) Ready() bool        { return !tr.later }
func (trap) Next() ([]byte, error) { panic("boom") }

type trapped struct {
	table.Transport
	later bool
}

func (tr trapped) Try(x *message.Exchange) error {
	err := tr.Transport.Try(x)
	if err == nil {
		x.Up = trap{x.Up, tr.later}
	}
	return err
}

// A panic in an answer is a 500 as long as nothing of the answer has gone out.
// Later it ends the answer so that nobody takes it for whole.
func TestPanicInAnAnswer(t *testing.T) {
	for _, later := range []bool{false, true} {
		for _, framing := range []string{"Content-Length: 2\r\n\r\nok", "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "\r\nok"} {
			var connections atomic.Int64
			addr := rawEndpoint(t, func(nc net.Conn, br *bufio.Reader) {
				connections.Add(1)
				defer connections.Add(-1)
				_, _ = head(br)
				_, _ = io.WriteString(nc, "HTTP/1.1 200 OK\r\n"+framing)
				_, _ = io.Copy(io.Discard, br)
			})
			g := start(t, one(addr), parts{transport: func(addr string) table.Transport { return trapped{http1.NewPool(addr), later} }})
			c := g.dial()
			c.send(get)
			if !later {
				c.want("GET", 500)
				c.wantClosed()
			} else if r, body, err := c.answer("GET"); err == nil {
				t.Errorf("a whole answer: %d %q", r.StatusCode, body)
			}
			if r := g.record(1); r.cause != "INT" {
				t.Errorf("recorded %+v", r)
			}
			g.wantNothingLeft(&connections)
		}
	}
}

// A transport that panics.
type bomb struct{ table.Transport }

func (bomb) Try(*message.Exchange) error { panic("boom") }

func TestPanicCostsOneCall(t *testing.T) {
	var armed atomic.Bool
	armed.Store(true)
	g := start(t, one(says(t, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")), parts{transport: func(addr string) table.Transport {
		return switching{bomb{http1.NewPool(addr)}, http1.NewPool(addr), &armed}
	}})
	c := g.dial()
	c.send(get)
	c.want("GET", 500)
	c.wantClosed()
	armed.Store(false)
	c = g.dial()
	c.send(get)
	c.want("GET", 200)
	g.record(2) // a call leaves the gate after its answer
	f := g.keeper.Table().Functions["f"]
	if n, _ := f.Gate.Inside(); n != 0 || f.Set().Endpoints[0].Link.Slots.InFlight() != 0 {
		t.Errorf("%d inside, %d in flight", n, f.Set().Endpoints[0].Link.Slots.InFlight())
	}
	if r := g.record(1); r.cause != "INT" || r.status != 500 {
		t.Errorf("recorded %+v", r)
	}
}

// switching is the bomb while armed.
type switching struct {
	bomb
	real  table.Transport
	armed *atomic.Bool
}

func (s switching) Try(x *message.Exchange) error {
	if s.armed.Load() {
		return s.bomb.Try(x)
	}
	return s.real.Try(x)
}

func (s switching) CloseIdle() { s.real.CloseIdle() }
