package proxy

import (
	"bytes"
	"errors"
	"io"
	"os"
	"strconv"
	"time"

	"github.com/weir-gateway/weir/proxy/message"
)

// What a client is told of a call that it does not wait for: a ticket, RFC 9110
// section 15.3.3, and at the ticket's address how far it is, or the answer.

const asyncPath = ownPaths + "async/"

// shownAsync is what logs and traces keep of such an address: whoever knows the
// rest of it may read the answer.
var shownAsync = []byte(asyncPath + "*")

// ShownPath is the request's path without what is nobody else's business.
func (c *Call) ShownPath() []byte {
	if bytes.HasPrefix(c.Request.Path, shownAsync[:len(asyncPath)]) {
		return shownAsync
	}
	return c.Request.Path
}

// mostPoll is how long a client may be held that asks whether its call has ended.
const mostPoll = time.Minute

var (
	coldAsync = message.Field{Name: message.Name(message.XWeirCold), Value: []byte("async")}

	nameAsync    = []byte("X-Weir-Async")
	nameLocation = []byte("Location")
	kindJSON     = []byte("application/json")
	appliedAsync = []byte("respond-async")
)

// prefersAsync tells whether the client would rather come back for the answer.
func prefersAsync(fields []message.Field) (prefers bool) {
	for i := range fields {
		if fields[i].ID == message.Prefer {
			message.Elements(fields[i].Value, func(e []byte) bool {
				name, _ := cutElement(e)
				prefers = prefers || message.IsToken(name, "respond-async")
				return !prefers
			})
		}
	}
	return prefers
}

// takeOver has the call go on without its client, who is held for as long as it
// has asked for, and then has a ticket.
func (p *Proxy) takeOver(c *Call) error {
	if p.draining.Load() {
		return errShuttingDown // nobody could fetch the answer
	}
	limits := c.table.Config.Async
	it, err := p.errands.open(limits, c.fn, c.headSize())
	if err != nil {
		return err
	}
	if err := c.readBody(it, int64(limits.MaxBody)); err != nil {
		it.drop()
		p.errands.work.Done()
		return err
	}
	go p.run(c.detach(it))
	c.coldAs = &coldAsync
	if seconds, said := preferredWait(c.Request.Fields); said {
		c.prefers = 1 + seconds
		err := it.await(c.Down, time.Now().Add(min(time.Duration(seconds)*time.Second, mostPoll)))
		if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			it.drop() // nobody knows its id
			return err
		}
	}
	return c.show(it, true)
}

// headSize is about what the head takes.
func (c *Call) headSize() (n int) {
	for _, f := range c.Request.Fields {
		n += len(f.Name) + len(f.Value)
	}
	return n + len(c.Request.Path) + len(c.Request.Query)
}

// readBody reads the whole body of the request, if that is not more than may be
// kept.
func (c *Call) readBody(it *errand, most int64) error {
	switch r := &c.Request; {
	case r.Framing == message.NoBody:
		return nil
	case r.Framing == message.Sized && r.Length > most:
		return errAsyncBody
	case r.Expect:
		if err := c.Down.Continue(); err != nil {
			return err
		}
	}
	for {
		b, err := c.Down.Next()
		switch {
		case err == io.EOF:
			return nil
		case err != nil:
			return err
		case int64(len(it.body)+len(b)) > most:
			return errAsyncBody
		case !it.grow(len(b)):
			return errAsyncFull
		}
		it.body = append(it.body, b...)
	}
}

// routeErrand finds what stands at a ticket's address.
func (p *Proxy) routeErrand(c *Call, id []byte) error {
	it, state := p.errands.find(id)
	if it == nil {
		return errNoCall
	}
	if seconds, said := preferredWait(c.Request.Fields); said && state == pending {
		c.prefers = 1 + seconds
		err := it.await(c.Down, time.Now().Add(min(time.Duration(seconds)*time.Second, mostPoll)))
		if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			return err
		}
	}
	return c.show(it, false)
}

// show has the call answered with what an errand has come to; first tells that
// it is the call which began it.
func (c *Call) show(it *errand, first bool) error {
	switch _, state := it.errands.find([]byte(it.id)); state {
	case pending:
		c.ours = ticket{it, first}
	case lost:
		return errAsyncLost
	default:
		c.ours = kept{it, state, first}
	}
	return nil
}

// A ticket says where the answer will be.
type ticket struct {
	*errand
	first bool
}

func (t ticket) give(c *Call) error {
	wait := time.Second
	phase, eta := []byte(nil), int64(-1)
	if t.fn.Start != nil {
		status, now := t.fn.Start.Status(), time.Now()
		phase = []byte(status.Phase)
		if d, known := status.Wait(now); known {
			wait, eta = d, d.Milliseconds()
		}
	}
	location := asyncPath + t.id
	c.compose(202, kindJSON)
	c.Response.Fields = append(c.Response.Fields,
		message.Field{Name: nameLocation, Value: []byte(location)},
		message.Field{Name: nameAsync, Value: []byte(pending.String())})
	if t.first {
		c.Response.Fields = append(c.Response.Fields, message.Field{Name: nameApplied, Value: appliedAsync})
	}
	c.addRetry(wholeSeconds(wait))
	limits := c.table.Config.Async
	b := append([]byte(nil), `{"state":"pending","function":"`+t.fn.Name+`","location":"`+location+`"`...)
	if phase != nil {
		b = append(b, `,"phase":"`+string(phase)+`"`...)
	}
	if eta >= 0 {
		b = strconv.AppendInt(append(b, `,"eta_ms":`...), eta, 10)
	}
	b = append(b, `,"durable":false,"kept":"in the memory of this weir","keep_ms":`...)
	b = strconv.AppendInt(b, limits.Keep.Milliseconds(), 10)
	b = append(b, `,"max_response_bytes":`...)
	b = append(strconv.AppendInt(b, int64(limits.MaxResponse), 10), "}\n"...)
	if err := c.deliver(b); err != nil {
		if t.first {
			t.drop() // nobody knows its id
		}
		return err
	}
	return nil
}

// kept is an answer that was fetched.
type kept struct {
	*errand
	state errandState
	first bool // in time, by the call that began it
}

func (k kept) give(c *Call) error {
	answer, content := k.errand.answer, k.errand.content // frozen since it has ended
	r := &c.Response
	*r = message.Response{
		Status: answer.Status, Reason: answer.Reason, Framing: message.Sized,
		Fields: append(r.Fields[:0], answer.Fields...),
	}
	if !k.first {
		r.Fields = append(r.Fields, message.Field{Name: nameAsync, Value: []byte(k.state.String())})
	}
	if !hasField(r.Fields, "cache-control", "*") {
		r.Fields = append(r.Fields, message.Field{Name: nameCacheControl, Value: noStore})
	}
	if err := c.deliver(content); err != nil {
		return err
	}
	if string(c.Request.Method) == "GET" || k.first {
		k.forgetIn(keepFetched)
	}
	return nil
}
