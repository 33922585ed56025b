package proxy

import (
	"fmt"
	"io"
	"math/rand/v2"
	"runtime/debug"
	"time"

	"github.com/weir-gateway/weir/internal/moment"
	"github.com/weir-gateway/weir/proxy/message"
	"github.com/weir-gateway/weir/proxy/table"
)

// Copies of calls for another function. The call knows nothing of its copy: that
// takes no place in line, is not tried again, starts nothing, and what it comes to
// is counted and forgotten.

// isMirror marks a copy, for the function and for any weir on its way: a copy is not
// copied.
var isMirror = message.Field{Name: []byte("X-Weir-Mirror"), Value: []byte("1")}

// mirror has the call copied, if it is its turn, just before its first try. Without
// a body the copy goes now. With one it goes when the call has ended, if all of the
// body is still in the connection's buffer: nothing is kept for the copy's sake but
// its head.
func (p *Proxy) mirror(c *Call) {
	m, r := c.to.Mirror, &c.Request
	if !m.Takes(rand.Uint32()) || r.Upgrade != nil || p.draining.Load() || table.FieldValue(r.Fields, isMirror.Name) != nil {
		return
	}
	if r.Framing == message.Sized && r.Length > keptBody {
		m.Mirrors.Skip(table.MirrorBody)
		return
	}
	if !m.Begin() {
		return
	}
	d := c.copied()
	d.fn, d.to, d.grpc, d.unseen = m.Function, c.to, c.grpc, true
	d.Request.Added = append(d.Request.Added, isMirror)
	if r.Framing != message.NoBody {
		c.copy = d
		return
	}
	go p.carryCopy(d, nil)
}

// sendCopy sends the copy of a call that has ended.
func (p *Proxy) sendCopy(c *Call) {
	d := c.copy
	c.copy = nil
	body, whole := c.bodyInMemory()
	if !whole || p.draining.Load() {
		d.fn.Mirrors.End(table.MirrorBody)
		return
	}
	go p.carryCopy(d, body)
}

// bodyInMemory is that of the request, if it has come as a whole and is still here.
func (c *Call) bodyInMemory() (body []byte, whole bool) {
	if !c.bodyAgain() {
		return nil, false
	}
	for c.Down.Ready() {
		b, err := c.Down.Next()
		switch {
		case err == io.EOF:
			return body, true
		case err != nil || len(body)+len(b) > mostCopied:
			return nil, false
		}
		body = append(body, b...)
	}
	return nil, false
}

// mostCopied is the longest body that a copy has: what a connection's buffers hold.
const mostCopied = 64 << 10

// carryCopy makes the one try.
func (p *Proxy) carryCopy(d *Call, body []byte) {
	result := table.MirrorFailed
	defer func() {
		if bug := recover(); bug != nil {
			p.log.Error("BUG: the copy of a call panicked", "panic", fmt.Sprint(bug), "request_id", string(d.ID()), "stack", string(debug.Stack()))
		}
		d.release()
		d.leave(moment.Now())
		d.fn.Mirrors.End(result)
	}()
	d.Start(time.Now())
	d.Deadline, d.Idle = d.at(d.fn.Timeouts.Request), d.fn.Timeouts.Request
	if body != nil {
		d.Request.Framing, d.Request.Length = message.Sized, int64(len(body))
	}
	d.Down = &unheard{offstage{d, body, 0, make(chan struct{}, 1)}}
	result = p.tryCopy(d)
}

func (p *Proxy) tryCopy(d *Call) table.Mirrored {
	d.fn.Gate.Enter(d.began)
	d.inside = true
	if d.enterBreaker() != nil {
		return table.MirrorUnavailable
	}
	defer d.leaveBreaker()
	for {
		if !d.fn.Hold.Empty() || d.pick() != nil { // who waits there is somebody's call
			return table.MirrorUnavailable
		}
		err := p.forward(d)
		if err == nil {
			break
		}
		d.giveBack()
		if !d.metStale(err) || !d.idempotent() || d.tries == maxTries || !d.bodyAgain() { // a closed connection says nothing of the function
			return table.MirrorFailed
		}
	}
	if !d.drainAnswer() {
		return table.MirrorFailed
	}
	if d.Response.Status >= 500 {
		return table.MirrorAnswered5xx
	}
	return table.MirrorAnswered
}

// drainAnswer reads the answer to its end, so that its connection can be used
// again. One that goes on for longer than the call may take is cut off.
func (c *Call) drainAnswer() (whole bool) {
	for moment.Now() < c.Deadline {
		switch _, err := c.Up.Next(); {
		case err == io.EOF:
			return true
		case err != nil:
			return false
		}
	}
	return true // as far as anybody wants to know
}

// unheard is the client's side of a copy.
type unheard struct{ offstage }

// isCopy tells whether the call is a copy of another one.
func (c *Call) isCopy() bool {
	_, is := c.Down.(*unheard)
	return is
}

func (u *unheard) WriteHead(*message.Response) error { return nil }
func (u *unheard) Write([]byte) error                { return nil }
func (u *unheard) Retract() bool                     { return true }
func (u *unheard) Finish() error                     { return nil }
func (u *unheard) Abort()                            {}

func (u *unheard) Watch(message.Canceler, uint64) {}
func (u *unheard) Unwatch() (gone bool)           { return false }
