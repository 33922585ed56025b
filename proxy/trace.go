package proxy

import (
	"encoding/binary"
	"errors"
	"hash/maphash"
	"math/rand/v2"
	"time"

	"github.com/weir-gateway/weir/coldstart"
	"github.com/weir-gateway/weir/proxy/message"
	"github.com/weir-gateway/weir/proxy/table"
)

// Traces: which call is part of which one, what the endpoint is told of that,
// and what is remembered of a call whose trace is recorded.

// sampling decides which traces weir records.
type sampling struct {
	seed  maphash.Seed
	all   bool
	below uint64
}

// records decides by a hash of the trace's name: the same for every call of a
// trace, also where a function calls another one through weir, and nobody
// outside can pick a name that is recorded.
func (s *sampling) records(trace [16]byte) bool {
	return s.all || maphash.Bytes(s.seed, trace[:]) < s.below
}

// Trace has weir take part in traces: each call is given a place in one, which
// its endpoint is told in traceparent. Of the traces that begin here, and those
// of callers that are not trusted, ratio are recorded, from 0 to 1; what a
// trusted proxy has decided stands. Without it traceparent passes as it is. Again,
// it changes the ratio; it is for one goroutine at a time.
func (p *Proxy) Trace(ratio float64) {
	next := &sampling{seed: maphash.MakeSeed(), all: ratio >= 1}
	if was := p.sampling.Load(); was != nil {
		next.seed = was.seed // a trace that is recorded is so to its end, if more are now
	}
	if !next.all {
		next.below = uint64(ratio * (1 << 64))
	}
	p.sampling.Store(next)
}

// LeaveTraces has weir take no part in them from now on: traceparent passes as it is.
func (p *Proxy) LeaveTraces() { p.sampling.Store(nil) }

// A trace is the call's place in one. The zero value is none.
type trace struct {
	message.TraceContext         // Span is weir's part
	caller               [8]byte // the caller's part; zero if weir begins the trace
	at                   int     // 1 + where in Request.Added it is told to the endpoint; 0 is nowhere
}

// joinTrace gives the call its place in the caller's trace, or begins one.
func joinTrace(c *Call, s *sampling) {
	said, ok := message.ReadTraceContext(c.Request.Fields)
	t := &c.trace
	t.Trace, t.caller, t.Flags = said.Trace, said.Span, said.Flags
	if !ok {
		binary.LittleEndian.PutUint64(t.Trace[:8], rand.Uint64())
		binary.LittleEndian.PutUint64(t.Trace[8:], rand.Uint64()|1) // all zero is no name
	}
	if !ok || !c.Client.Trusted {
		t.Flags &^= message.TraceSampled
		if s.records(t.Trace) {
			t.Flags |= message.TraceSampled
		}
	}
	t.Span = newSpan()
	for i := range c.Request.Fields {
		switch f := &c.Request.Fields[i]; f.ID {
		case message.Traceparent:
			f.Drop = true
		case message.Tracestate: // of a trace that nobody can name, section 3.3
			f.Drop = !ok
		}
	}
	t.at = 1 + len(c.Request.Added)
	c.add(message.Traceparent, nil)
	if t.Flags&message.TraceSampled != 0 {
		c.recording = &Recording{}
		return // each try is a part of its own, and has to be told its name
	}
	c.tellTrace(t.Span)
}

// tellTrace tells the endpoint which part of the trace it belongs to.
func (c *Call) tellTrace(span [8]byte) {
	start := len(c.scratch)
	c.scratch = message.AppendTraceparent(c.scratch, message.TraceContext{Trace: c.trace.Trace, Span: span, Flags: c.trace.Flags})
	c.Request.Added[c.trace.at-1].Value = c.scratch[start:]
}

func newSpan() (span [8]byte) {
	binary.LittleEndian.PutUint64(span[:], rand.Uint64()|1) // all zero is no name
	return span
}

// A Recording is what is remembered of a call whose trace is recorded: what
// the Call itself does not know any more at its end.
type Recording struct {
	Waits []Wait
	Tries []Try
}

// A Wait is one time that the call stood in line. Moments are after Started.
type Wait struct {
	Span         [8]byte
	Began, Ended time.Duration
	Cold         bool              // while no instance was up
	Start        coldstart.StartID // what it waited for; zero if for no start
	Err          error             // why it left without a slot
}

// A Try is one try at one endpoint. Moments are after Started.
type Try struct {
	Span         [8]byte
	Began, Ended time.Duration // Ended is 0 for one whose answer was passed on: it ended with the call
	Endpoint     *table.Endpoint
	Status       int // of the answer; 0 if none came
	Err          error
}

// beginTry makes the try that begins now a part of the trace.
func (c *Call) beginTry() {
	tries := c.recording.Tries
	if n := len(tries); n > 0 && tries[n-1].Ended == 0 {
		tries[n-1].Ended = c.sent // its answer was not passed on
	}
	try := Try{Span: newSpan(), Began: c.sent, Endpoint: c.ep}
	c.recording.Tries = append(tries, try)
	c.tellTrace(try.Span)
}

// noteTry notes what the last try came to.
func (c *Call) noteTry(err error) {
	try := &c.recording.Tries[len(c.recording.Tries)-1]
	if try.Err = err; err != nil {
		try.Ended = c.since()
	} else {
		try.Status = c.Response.Status
	}
}

// noteWait notes that the call has stood in line, and for what.
func (c *Call) noteWait(began, ended time.Duration, err error) {
	w := Wait{Span: newSpan(), Began: began, Ended: ended, Cold: c.cold, Err: err}
	if verdict, told := errors.AsType[*coldstart.NoStart](err); told {
		w.Start = verdict.Start // another one may have begun meanwhile
	} else if c.cold {
		w.Start = c.fn.Start.Status().Start
	}
	c.recording.Waits = append(c.recording.Waits, w)
}

// Trace is the call's place in a trace: weir's part of it if weir takes part,
// or what the caller says; the zero value if nobody says anything.
func (c *Call) Trace() message.TraceContext {
	if c.trace.at > 0 {
		return c.trace.TraceContext
	}
	tc, _ := message.ReadTraceContext(c.Request.Fields)
	tc.Span = [8]byte{}
	return tc
}

// TraceParent is the caller's part of the trace that weir takes part in; zero
// if weir began it.
func (c *Call) TraceParent() [8]byte { return c.trace.caller }

// Recording is what is remembered of the call if its trace is recorded; else
// nil.
func (c *Call) Recording() *Recording { return c.recording }
