package http1_test

import (
	"bufio"
	"io"
	"net"
	"testing"
	"time"

	"github.com/weir-gateway/weir/config"
)

// patient are listeners whose clients may end their side and wait.
func patient(l *config.Listener) { l.HalfClose = "wait" }

// endSide ends the client's side, and waits until weir's kernel knows.
func (g *gateway) endSide(c *client) {
	g.t.Helper()
	theirs := g.socketOf(c)
	waysToLeave["half-close"](c)
	eventually(g.t, "the end has come", func() bool { return tcpState(theirs) == tcpCloseWait })
}

// Where half_close is "wait", who has ended its side has its answer: wherever its
// call is by then, and however many it sent.
func TestHalfClosedClientsWait(t *testing.T) {
	t.Parallel()
	t.Run("while the endpoint thinks", func(t *testing.T) {
		at, goOn := make(chan struct{}), make(chan struct{})
		g := start(t, one(rawEndpoint(t, func(nc net.Conn, br *bufio.Reader) {
			if _, err := head(br); err == nil {
				at <- struct{}{}
				<-goOn
				_, _ = io.WriteString(nc, ok)
			}
		})), listener(patient))
		c := g.dial()
		c.send(get)
		<-at
		g.endSide(c)
		time.Sleep(3 * 20 * time.Millisecond) // weir has the client watched after 20
		close(goOn)
		c.want("GET", 200)
		c.wantClosed()
	})
	t.Run("while the call is held", func(t *testing.T) {
		g, s := coldWith(t, "", patient)
		for _, request := range []string{get, post(2) + "hi", get + get} {
			c := g.dial()
			c.send(request)
			g.held(1)
			g.endSide(c)
			s.raise(t, 0, echo)
			c.want("POST", 200)
			if request == get+get {
				c.want("GET", 200)
			}
			c.wantClosed()
			s.set()
			g.inState("cold")
		}
	})
	t.Run("a request that is not whole", func(t *testing.T) {
		g := start(t, backend(t, echo), listener(patient))
		c := g.dial()
		c.send(post(5) + "hell")
		waysToLeave["half-close"](c)
		c.wantClosed()
		if r := g.record(1); r.status != 499 {
			t.Errorf("recorded %+v", r)
		}
	})
}

// Who resets has left, also after it has ended its side.
func TestHalfClosedClientsReset(t *testing.T) {
	oneThread(t)
	reset := func(g *gateway, c *client) {
		g.endSide(c)
		time.Sleep(3 * 20 * time.Millisecond)
		waysToLeave["RST"](c)
	}
	for _, m := range standstills[:3] {
		t.Run(m.name, func(t *testing.T) {
			m.client = reset
			l := m.prepare(t, listener(patient))
			if p := l.leave("RST"); p.spells > atOnce {
				t.Errorf("the endpoint's connection was open for %d spells, %v", p.spells, p.took)
			}
			if r := l.g.record(1); r.cause != "DC" || r.status != 499 {
				t.Errorf("recorded %+v", r)
			}
		})
	}
	t.Run("the call is held", func(t *testing.T) {
		g, _ := coldWith(t, "", patient)
		c := g.dial()
		c.send(get)
		g.held(1)
		reset(g, c)
		g.held(0)
		if r := g.record(1); r.cause != "DC" || r.status != 499 {
			t.Errorf("recorded %+v", r)
		}
	})
}
