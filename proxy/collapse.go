package proxy

import (
	"bytes"
	"errors"
	"io"
	"os"
	"time"

	"github.com/weir-gateway/weir/coldstart"
	"github.com/weir-gateway/weir/config"
	"github.com/weir-gateway/weir/proxy/message"
	"github.com/weir-gateway/weir/proxy/table"
)

// Calls that ask for the same at once, where a function has them collapsed: one goes
// on as any call does, and leads; the others follow, parked as held calls are, without
// a slot, and have a copy of its answer. Nothing is kept for calls that come later: it
// is no cache.
//
// Decision, 2026-11-26: a call can be followed until the head of its answer is in. So
// one that nobody follows costs a look for others, and is passed on as ever, streams
// too. Only one that is followed is read into memory, before its own client has a byte of
// it: a client that reads slowly would keep all others waiting.
//
// Decision, 2026-11-26: what is not to be shared, and what has failed, is given to
// nobody, and those who waited go on at once, all of them, under the function's
// limits. One after the other would be kinder to it and take a thousand times as long;
// without a limit it is the crowd that it would have been. For ten seconds after an
// answer that was one client's own nobody waits for such an answer.
//
// Decision, 2026-11-26: if the one that leads leaves, or has no time left, the first of
// the others leads, from the beginning. To go on with the try that is under way would
// need a goroutine for each call, on the chance.

// mostPause is how long the endpoint may pause in an answer that others wait for, and
// mostCapture how long it may take in all. Who takes longer sends a stream, which its
// own client is to have as it comes.
const (
	mostPause   = time.Second
	mostCapture = 5 * time.Second
)

var collapsedField = message.Field{Name: []byte("X-Weir-Collapsed"), Value: []byte("1")}

// join has the call follow another one that asks the same, until that is answered, or
// lead. If it has its answer then, that is in ours.
func (c *Call) join() error {
	c.asked = c.fn.Sameness
	if !c.ask() {
		return nil
	}
	cold := c.fn.Start != nil && c.fn.Start.Status().State != "warm"
	if cold && c.to.WhileCold != nil && (c.takesPage() || c.fallback() != nil) {
		return nil // in line it gets something else soon
	}
	if c.fn.Flights.Join(&c.lead, &c.follower, c.Down, c.to, c.question, c.fn.Collapse, c.Started) != table.Follows {
		return nil
	}
	began := c.since()
	until, passed := c.Deadline.Time(), errDeadline
	if cold {
		until, passed = c.patience(c.Started.Add(began))
		c.cold, c.joined = true, true // another call has caused the start
	}
	err := c.followUntil(until, passed)
	ended := c.since()
	if cold {
		c.held += ended - began
	}
	if c.recording != nil {
		c.noteWait(began, ended, err)
	}
	if c.ours != nil {
		c.failed = ended // from here on its answer is late by what the client takes
	}
	return err
}

// followUntil waits for what becomes of the call that this one follows.
func (c *Call) followUntil(until time.Time, passed error) error {
	w := &c.follower
	for {
		switch w.Verdict() {
		case table.Given:
			c.collapsed, c.leader = Shared, w.Answer().From
			c.ours = shared{w.Answer()}
			return nil
		case table.Leads:
			c.lead = w.Lead()
			return nil
		case table.Alone:
			w.Leave()
			c.collapsed = Unshared
			return nil
		case table.Ended:
			w.Leave()
			return errShuttingDown
		}
		if err := c.Down.Wait(until); err != nil {
			w.Leave()
			if errors.Is(err, os.ErrDeadlineExceeded) {
				return passed
			}
			return err
		}
	}
}

// ask puts together what the call asks for. ok is false if it goes by itself.
func (c *Call) ask() (ok bool) {
	r := &c.Request
	fetches := string(r.Method) == "GET" || string(r.Method) == "HEAD"
	bodiless := r.Framing == message.NoBody || r.Framing == message.Sized && r.Length == 0
	if !fetches || !bodiless || r.Upgrade != nil || c.detached ||
		c.from != nil { // of another function's answers nobody knows
		return false
	}
	if c.question == nil {
		c.question = new(table.Question)
	}
	q := c.question
	q.Method, q.Authority, q.Path = r.Method, r.Authority, r.Path
	q.NewHost, q.NewPath, q.Query = r.NewHost, r.NewPath, r.Query
	q.Priority = int8(c.priority()) // who is to be let go first does not wait for one that is not
	for i := range r.Added {        // the three are in a row
		if r.Added[i].ID == message.XForwardedProto {
			q.Proto, q.Host, q.Port = r.Added[i].Value, r.Added[i+1].Value, r.Added[i+2].Value
			break
		}
	}
	fields := r.Fields[:len(r.Fields)-c.to.Action.Request.Added()] // those are the same of all
	return c.asked.Ask(q, fields, r.Added)
}

// ground lets nobody follow any more, and ends the call's flight, if it is one, without an
// answer for those who do.
func (c *Call) ground() {
	f := c.flight
	c.flight = nil
	if c.lead.Leads() {
		f = c.lead.Known()
	}
	switch {
	case f == nil:
	case c.leftThem():
		f.HandOver()
	default:
		f.Disperse(false, time.Time{})
	}
}

// leftThem tells whether the call has ended for a reason that says nothing of what the
// others will come to.
func (c *Call) leftThem() bool {
	for _, reason := range [...]error{message.ErrClientGone, errDeadline, errQueueTime, coldstart.ErrMaxWait} {
		if errors.Is(c.err, reason) {
			return true
		}
	}
	return false
}

// depart looks at the head of the answer that has come. If others are to have it too it
// is returned, for capture.
func (c *Call) depart() *table.Answer {
	f, r := c.lead.Known(), &c.Response
	switch {
	case f == nil || !f.Depart():
	case c.from != nil || !shareable(r.Status): // another function's, or a failure
		f.Disperse(false, time.Time{})
	case !c.isForAll(f.Settings):
		f.Disperse(true, c.Started.Add(c.answer))
	default:
		c.flight = f
		return &table.Answer{
			From: bytes.Clone(c.ID()),
			Head: message.Response{Status: r.Status, Reason: bytes.Clone(r.Reason), Fields: cloneFields(r.Fields), Framing: r.Framing, Length: r.Length},
		}
	}
	return nil
}

// shareable tells whether answers with a status say something of what was asked for,
// and not of who asked, when, or of the function: most of those that RFC 9110 section
// 15.1 lets a cache keep, and redirects.
func shareable(status int) bool {
	switch status {
	case 200, 203, 204, 300, 301, 302, 303, 307, 308, 404, 410:
		return true
	}
	return false
}

// isForAll tells whether the answer may be given to others who ask the same, RFC 9111
// sections 4.1 and 5.2.2, and is not too long for that.
func (c *Call) isForAll(s *config.Collapse) bool {
	r := &c.Response
	if r.Framing == message.Sized && r.Length > int64(s.MaxBody) {
		return false
	}
	for i := range r.Fields {
		f := &r.Fields[i]
		if f.Drop {
			continue
		}
		switch {
		case f.ID == message.Trailer:
			return false
		case f.ID == message.ContentType:
			if isStream(f.Value) {
				return false
			}
		case f.ID != message.Other:
		case message.IsToken(f.Name, "set-cookie"), message.IsToken(f.Name, "cache-control") && isKept(f.Value):
			return false
		case message.IsToken(f.Name, "vary"):
			if !c.coversAll(f.Value) {
				return false
			}
		}
	}
	return true
}

// isStream tells whether a body of that type is for reading as it comes.
func isStream(kind []byte) bool {
	const events = "text/event-stream"
	return len(kind) >= len(events) && message.IsToken(kind[:len(events)], events)
}

// isKept tells whether Cache-Control keeps the answer from other clients.
func isKept(control []byte) (kept bool) {
	message.Elements(control, func(e []byte) bool {
		name, _ := cutElement(e)
		kept = message.IsToken(name, "private") || message.IsToken(name, "no-store") || message.IsToken(name, "no-cache")
		return !kept
	})
	return kept
}

// coversAll tells whether those who ask the same have the same of what the answer
// varies by.
func (c *Call) coversAll(vary []byte) bool {
	covers := true
	message.Elements(vary, func(name []byte) bool {
		covers = string(name) != "*" && c.asked.Covers(name)
		return covers
	})
	return covers
}

// capture reads the body of the answer into memory, gives the answer to those who
// follow, and then what was read to the call's own client. What it could not read is
// still to come.
func (c *Call) capture(a *table.Answer) error {
	body, end := c.readAll()
	whole := end == io.EOF && len(c.Up.Trailers()) == 0
	f := c.flight
	c.flight = nil
	switch {
	case whole:
		a.Body = body
		if a.Head.Framing != message.NoBody && string(c.Request.Method) != "HEAD" {
			a.Head.Framing, a.Head.Length = message.Sized, int64(len(body))
		}
		c.followers = f.Share(a)
	case errors.Is(end, message.ErrClientGone):
		f.HandOver()
	default: // it is longer, or a stream, or has trailers; or it broke off, which says nothing of the next one
		f.Disperse(end == nil || end == io.EOF || errors.Is(end, message.ErrStalled), time.Now())
	}
	return c.writePieces(body)
}

// readAll reads as much of the body as may be given to others. end is io.EOF if that
// was all of it, nil if it is too long, or why there is no more now.
func (c *Call) readAll() (body []byte, end error) {
	idle := c.Idle
	defer func() { c.Idle = idle }()
	late := time.Now().Add(mostCapture)
	sized := c.Response.Framing == message.Sized
	if sized {
		if !c.flight.Keep(int(c.Response.Length)) {
			return nil, nil
		}
		body = make([]byte, 0, c.Response.Length)
	}
	for {
		left := min(mostPause, time.Until(late))
		if left <= 0 {
			return body, message.ErrStalled
		}
		if c.Idle = left; idle > 0 {
			c.Idle = min(left, idle)
		}
		b, err := c.Up.Next()
		if err != nil {
			return body, err
		}
		body = append(body, b...)
		if len(body) > int(c.flight.Settings.MaxBody) || !sized && !c.flight.Keep(len(b)) {
			return body, nil
		}
	}
}

// writePieces gives the client bytes of the answer's body. Each piece has its own time.
func (c *Call) writePieces(body []byte) error {
	for len(body) > 0 {
		piece := body[:min(len(body), mostPiece)]
		body = body[len(piece):]
		c.BytesOut += int64(len(piece))
		if err := c.Down.Write(piece); err != nil {
			return err
		}
	}
	return nil
}

// A shared answer is a copy of another call's.
type shared struct{ *table.Answer }

func (s shared) give(c *Call) error {
	r := &c.Response
	fields := append(r.Fields[:0], s.Head.Fields...)
	*r = s.Head
	r.Fields = fields
	dated, told := false, false
	for i := range fields {
		dated = dated || fields[i].ID == message.Date
		told = told || message.EqualNames(fields[i].Name, collapsedField.Name) // by another weir
	}
	r.Added = append(c.addedToResponse(dated), message.Field{Name: message.Name(message.Via), Value: via})
	if !told {
		r.Added = append(r.Added, collapsedField)
	}
	c.answered = true
	if err := c.Down.WriteHead(r); err != nil {
		return err
	}
	if err := c.writePieces(s.Body); err != nil {
		return err
	}
	return c.Down.Finish()
}

// Collapsed is what has become of a call that waited for another one's answer.
type Collapsed uint8

// What can become of it.
const (
	NotCollapsed Collapsed = iota // it did not wait, or was to lead, or ended while it waited
	Shared                        // it was given a copy
	Unshared                      // it was given none, and went by itself
)

// String is what weir_collapsed_total has as result.
func (r Collapsed) String() string { return [...]string{"", "shared", "unshared"}[r] }

// Collapsed tells what has become of the call's waiting for another one's answer, and,
// if it was given that, the other's request id.
func (c *Call) Collapsed() (result Collapsed, leader []byte) { return c.collapsed, c.leader }

// Followers is how many calls were given a copy of its answer.
func (c *Call) Followers() int { return c.followers }
