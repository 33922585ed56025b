package proxy

import (
	"bytes"
	"errors"
	"io"
	"os"
	"time"

	"github.com/weir-gateway/weir/proxy/message"
)

// offstage is the client's side of a call that has no client: its body is in
// memory.
type offstage struct {
	call  *Call
	body  []byte        // of the request
	at    int           // in it
	woken chan struct{} // capacity one
}

// detached is that of a call that has no client any more. Its answer will be in
// memory too.
type detached struct {
	offstage
	it *errand

	large   bool // larger than is kept
	answer  message.Response
	content []byte
}

// detach makes a call of its own of what is known of c by now: where it leads,
// and what of it passes. Nothing of it lies in the buffers of the client's
// connection.
func (c *Call) detach(it *errand) *Call {
	d := c.copied()
	d.to, d.timed, d.own, d.grpc, d.id, d.detached = c.to, c.timed, c.own, c.grpc, c.id, true
	d.Deadline = c.Deadline
	if !c.own { // the time that the client took for its body is not the function's
		d.Deadline = d.at(c.fn.Timeouts.Request)
	}
	d.Idle = c.fn.Timeouts.StreamIdle
	if c.Request.Framing != message.NoBody {
		d.Request.Framing, d.Request.Length = message.Sized, int64(len(it.body))
	}
	if d.trace = c.trace; d.trace.at > 0 { // a part of its own, below that of the call that had a ticket for it
		d.trace.caller, d.trace.Span = c.trace.Span, newSpan()
		if c.recording != nil {
			d.recording = &Recording{}
		}
		d.tellTrace(d.trace.Span)
	}
	d.Down = &detached{offstage: offstage{d, it.body, 0, make(chan struct{}, 1)}, it: it}
	return d
}

// copied is a call with the head that c has now, as far as it passes. Nothing of it
// lies in the buffers of the client's connection. It has no body, and no client.
func (c *Call) copied() *Call {
	d := &Call{table: c.table, fn: c.fn}
	d.Client = c.Client
	d.Client.Text, d.Client.Peer = bytes.Clone(c.Client.Text), bytes.Clone(c.Client.Peer)
	d.Client.Scheme, d.Client.Port = bytes.Clone(c.Client.Scheme), bytes.Clone(c.Client.Port)
	d.Start(time.Now())
	r := &c.Request
	d.Request = message.Request{
		Method: bytes.Clone(r.Method), Path: bytes.Clone(r.Path), RawPath: bytes.Clone(r.RawPath), Query: bytes.Clone(r.Query),
		NewPath: bytes.Clone(r.NewPath), NewHost: bytes.Clone(r.NewHost),
		Authority: bytes.Clone(r.Authority), Host: bytes.Clone(r.Host), Fields: cloneFields(r.Fields), Minor: 1,
	}
	d.Request.Added = d.added[:copy(d.added[:], cloneFields(r.Added))]
	return d
}

// cloneFields copies those that pass. That weir answers for the function is
// weir's affair.
func cloneFields(fields []message.Field) []message.Field {
	out := make([]message.Field, 0, len(fields))
	for _, f := range fields {
		if !f.Drop && f.ID != message.Prefer && f.ID != message.Trailer {
			out = append(out, message.Field{Name: bytes.Clone(f.Name), Value: bytes.Clone(f.Value), ID: f.ID})
		}
	}
	return out
}

// run carries the call from admit on.
func (p *Proxy) run(d *Call) {
	it := d.Down.(*detached).it
	defer p.errands.work.Done()
	defer it.end(lost, message.Response{}, nil) // unless it has ended otherwise
	p.inFlight.Add(1)
	defer p.end(d)
	d.err = p.pass(d)
	if errors.Is(d.err, message.ErrClientGone) { // only weir's own leaving cancels it
		d.err = errShuttingDown
	}
	p.respond(d)
}

// mostPiece is how much of the body goes to the endpoint at once.
const mostPiece = 32 << 10

// Next returns the next piece of the body.
func (d *offstage) Next() ([]byte, error) {
	if d.at == len(d.body) {
		return nil, io.EOF
	}
	b := d.body[d.at:min(d.at+mostPiece, len(d.body))]
	d.at += len(b)
	d.call.BodyTouched = true
	d.call.BytesIn = int64(d.at)
	return b, nil
}

func (d *offstage) Ready() bool                   { return true }
func (d *offstage) Trailers() []message.Field     { return nil }
func (d *offstage) Continue() error               { return nil }
func (d *offstage) CutBody()                      {}
func (d *offstage) Switch()                       { panic("BUG: a call that nobody waits for became a tunnel") }
func (d *offstage) Flush() error                  { return nil }
func (d *offstage) WriteTrailers([]message.Field) {}

func (d *offstage) Interim(*message.Response) error      { return nil }
func (d *offstage) Take(message.Upstream) (int64, error) { return 0, nil }
func (d *offstage) Memory() int                          { return len(d.body) }

// Rewind begins the body anew.
func (d *offstage) Rewind() bool {
	d.at = 0
	return true
}

// WriteHead keeps the head of the answer. What weir adds to an answer it adds
// when somebody fetches it.
func (d *detached) WriteHead(r *message.Response) error {
	size := 0
	for i := range r.Fields {
		f := &r.Fields[i]
		f.Drop = f.Drop || f.ID == message.Date // whoever fetches it is told the hour then
		size += len(f.Name) + len(f.Value)
	}
	if !d.keep(size) {
		return errAsyncLost
	}
	d.answer = message.Response{Status: r.Status, Reason: bytes.Clone(r.Reason), Fields: cloneFields(r.Fields), Framing: message.Sized}
	return nil
}

// Write keeps a piece of its body.
func (d *detached) Write(p []byte) error {
	if string(d.call.Request.Method) == "HEAD" {
		return nil
	}
	if !d.keep(len(p)) {
		return errAsyncLost
	}
	d.content = append(d.content, p...)
	return nil
}

func (d *detached) keep(n int) bool {
	d.large = d.large || len(d.content)+n > d.it.maxBytes || !d.it.grow(n)
	return !d.large
}

// Retract takes the answer back: nobody has seen any of it.
func (d *detached) Retract() bool {
	d.it.grow(-len(d.content))
	d.large, d.answer, d.content = false, message.Response{}, nil
	return true
}

// Finish ends the answer.
func (d *detached) Finish() error {
	state := failed
	if d.call.relayed {
		state = done
	}
	d.it.end(state, d.answer, d.content)
	return nil
}

// Abort is for an answer that is not whole.
func (d *detached) Abort() { d.it.end(lost, message.Response{}, nil) }

// Wait parks the call. Nobody can leave.
func (d *offstage) Wait(until time.Time) error {
	timer := time.NewTimer(time.Until(until))
	defer timer.Stop()
	select {
	case <-d.woken:
		return nil
	case <-timer.C:
		return os.ErrDeadlineExceeded
	}
}

func (d *offstage) Wake() {
	select {
	case d.woken <- struct{}{}:
	default: // it is awake
	}
}

// Watch lets the try be canceled when the time to finish it has passed.
func (d *detached) Watch(c message.Canceler, gen uint64) {
	e := d.it.errands
	e.mu.Lock()
	defer e.mu.Unlock()
	d.it.cancel = func() { c.Cancel(gen) }
	if e.over {
		c.Cancel(gen)
	}
}

func (d *detached) Unwatch() (gone bool) {
	e := d.it.errands
	e.mu.Lock()
	defer e.mu.Unlock()
	d.it.cancel = nil
	return e.over
}
