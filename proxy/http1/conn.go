package http1

import (
	"errors"
	"io"
	"net"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/weir-gateway/weir/internal/moment"
	"github.com/weir-gateway/weir/proxy"
	"github.com/weir-gateway/weir/proxy/message"
)

// Reasons why a request never came to be.
var (
	errHeadLarge = message.Refuse(message.KindHeadTooLarge, "the head of the request is too large")
	errHeadSlow  = message.Refuse(message.KindSlow, "the head of the request came too slowly")
	errBodySlow  = message.Refuse(message.KindSlow, "the body of the request came too slowly")
	errBodyLarge = message.Refuse(message.KindBodyTooLarge, "the body of the request is too large")
	errCut       = errors.New("the rest of the body is not wanted")
)

// A conn is a client's connection and the call on it: the Downstream of that
// call.
type conn struct {
	wire
	server    *Server
	cfg       *settings // for the present call
	client    message.Client
	call      *proxy.Call // nil while it rests
	body      body
	taken     int64 // bytes of the request's body so far
	continued bool  // the client was asked for the body that it announced
	tunnel    bool  // the call has become one

	out     []byte      // of the answer, not sent yet; nil between calls
	framing answerState // of the answer's body

	state atomic.Int32 // inCall, waiting or leaving
	woken atomic.Bool  // Wake was called
	cut   atomic.Bool  // CutBody was called

	gone     bool // what the last look at the parked client said
	closed   bool // nothing more can be sent
	strange  bool // what came is no request: more of it may be on the way
	answered bool // a call has been answered
	watched  bool // by watch
	rested   bool // at least once
	last     bool // the server has asked for an end: there is no further call
	counted  bool // among its client's connections
	unproven bool // a PROXY header has to come first

	peek    [1]byte
	parkFn  func(fd uintptr) bool
	watch   entry[watch]
	resting entry[*conn]
	next    *conn // in the line of those at rest; guarded by its lock
	prev    *conn
	inLine  bool
	rests   atomic.Int64 // since when it does, as a moment.Moment; 0: it does not
}

// serve carries the calls that come on the connection, one after another, until
// the connection ends or, for want of calls, rests.
func (c *conn) serve() (rests bool) {
	c.rests.Store(0)
	for {
		next := c.awaitCall()
		if next == nothingYet {
			return true
		}
		if next == aCall && c.unproven && c.readProxyHeader() {
			continue
		}
		if next == noCall || c.unproven || !c.nextHead() || !c.carry() {
			c.shut()
			return false
		}
	}
}

// nextHead waits until the head that has begun is in and parsed. A head that
// cannot be made out is answered, and ends the connection.
func (c *conn) nextHead() bool {
	if cfg := c.server.settings.Load(); cfg != c.cfg {
		c.meet(cfg)
	}
	began := time.Now() // the one clock read of a call's way in
	n, ended, err := c.readHead(began)
	if n == 0 && err == nil {
		return false // the client left in the middle: there is nobody to answer
	}
	c.takeCall()
	c.call.Begin()
	c.call.Down, c.call.Client = c, c.client
	c.call.Start(ended) // a client that sends its head slowly does so on its own time
	c.taken, c.continued = 0, false
	limits := &c.cfg.Limits
	r := &c.call.Request
	if err == nil {
		err = parseRequest(c.buf[c.r:c.r+n], r, int(limits.TargetBytes), limits.Fields)
		c.r += n
	}
	if err == nil && limits.BodyBytes > 0 && r.Length > int64(limits.BodyBytes) {
		err = errBodyLarge
	}
	if err != nil {
		c.refuse(err)
		return false
	}
	r.Close = r.Close || c.last || c.server.draining.Load()
	if c.client.Trusted {
		c.findClient()
	} else if c.client.Barred { // by rules that came after it
		r.Close = true
	}
	c.body.begin(r.Framing, r.Length, true)
	return true
}

// refuse answers a head that is no request.
func (c *conn) refuse(err error) {
	r := &c.call.Request
	r.Close, r.Minor, r.Fields = true, 1, r.Fields[:0] // what was parsed of it proves nothing
	c.body.begin(message.NoBody, 0, false)
	c.strange = true
	c.server.core.Refuse(c.call, err)
}

// What a connection with a goroutine is about.
const (
	inCall  = iota
	waiting // for a call: the server may have it leave
	leaving // it was told to
)

// maxEmptyLines is how many empty lines may stand before a request: without a
// bound a client could keep its connection by sending nothing else.
const maxEmptyLines = 4

// What awaitCall comes to.
type next int

const (
	aCall      next = iota // a head has begun
	noCall                 // the client has left, or is to
	nothingYet             // it may rest
)

// awaitCall waits for the first byte of a head, holding no buffer meanwhile:
// for a moment, or for as long as a connection may idle if it cannot rest.
func (c *conn) awaitCall() next {
	if c.cut.Swap(false) {
		c.forget()
	}
	for empty := 0; ; {
		for ; !c.unproven && empty < maxEmptyLines && c.w-c.r >= 2 && c.buf[c.r] == '\r' && c.buf[c.r+1] == '\n'; empty++ {
			c.r += 2 // an empty line before a request is passed over, RFC 9112 section 2.2
		}
		if c.w-c.r > 1 || c.w-c.r == 1 && (c.unproven || c.buf[c.r] != '\r' || empty == maxEmptyLines) {
			return aCall // pipelined
		}
		patience := min(awake, c.cfg.idle)
		switch {
		case c.w == c.r:
			c.release()
		case c.w == len(c.buf):
			c.room(smallBuffer, false) // half an empty line: a read into no room would look like the end
			fallthrough
		default:
			patience = c.cfg.idle
		}
		c.until(c.lastCall().Add(patience), patience/4)
		c.state.Store(waiting)
		if c.last || c.server.draining.Load() { // set before it looked at the state: one of the two sees the other
			return noCall
		}
		err := c.fillAfterOthers()
		if !c.state.CompareAndSwap(waiting, inCall) {
			c.server.mu.Lock() // whoever told it has moved the deadline, once it is out of there
			c.last = true
			c.server.mu.Unlock()
			c.forget()
		}
		switch {
		case c.last && err == nil: // a call that crossed the end on its way
		case isTimeout(err) && patience < c.cfg.idle && !c.last:
			return nothingYet
		case err != nil:
			return noCall
		}
	}
}

// lastCall is when the last call ended; now if there was none since the
// connection came, or rested.
func (c *conn) lastCall() moment.Moment {
	if c.call != nil && !c.call.Started.IsZero() {
		return c.call.Recent()
	}
	return moment.Now()
}

// readHead reads until the head is whole and returns its length, and when that
// was. 0 without an error is a client that left.
func (c *conn) readHead(began time.Time) (n int, ended time.Time, err error) {
	limits := &c.cfg.Limits
	looked := 0
	ended = began
	for {
		n, looked, err = headEnd(c.unread(), looked)
		if err != nil {
			return 0, ended, err
		}
		if n > 0 {
			if n > int(limits.HeadBytes) {
				return 0, ended, errHeadLarge
			}
			return n, ended, nil
		}
		have := c.w - c.r
		if have >= int(limits.HeadBytes) {
			return 0, ended, errHeadLarge
		}
		if c.w == len(c.buf) { // full: move to the front, or take a larger one
			c.room(max(smallBuffer, min(2*have, int(limits.HeadBytes)+1)), false)
		}
		c.until(moment.Of(began).Add(limits.HeadTimeout), limits.HeadTimeout/8)
		err := c.fill()
		ended = time.Now()
		if isTimeout(err) {
			return 0, ended, errHeadSlow
		} else if err != nil {
			return 0, ended, nil
		}
	}
}

// carry has one call served, and tells whether the connection goes on.
func (c *conn) carry() bool {
	c.server.core.Serve(c.call)
	c.answered = true
	if c.closed || c.call.Request.Close || !c.body.whole() {
		return false
	}
	c.wire.release()
	return true
}

// Next returns the next bytes of the request's body.
func (c *conn) Next() ([]byte, error) {
	b, err := c.body.Next()
	c.call.BodyTouched = c.call.BodyTouched || err != io.EOF // an end without a byte before it comes again
	c.took(len(b))
	if limit := int64(c.cfg.Limits.BodyBytes); limit > 0 && c.taken > limit && !c.tunnel {
		c.body.err = errBodyLarge
		return nil, errBodyLarge
	}
	if err == io.ErrUnexpectedEOF {
		return nil, message.ErrClientGone
	}
	return b, err
}

func (c *conn) took(n int) {
	c.taken += int64(n)
	c.call.BytesIn = c.taken
}

// Ready tells whether Next would return without waiting.
func (c *conn) Ready() bool { return c.body.Ready() }

// Trailers are those of the request.
func (c *conn) Trailers() []message.Field { return c.body.Trailers() }

// fillBody waits for more of the request's body, as long as a body may stand
// still.
func (c *conn) fillBody() error {
	if c.tunnel {
		c.until(0, 0) // whoever reads the endpoint sees to the time
	} else {
		patience := c.cfg.Limits.BodyProgress
		c.until(moment.Now().Add(patience), patience/8)
	}
	if c.cut.Load() { // set before it changed the deadline: one of the two sees the other
		return errCut
	}
	err := c.fill()
	switch {
	case err == nil || err == io.EOF:
		return err
	case c.cut.Load():
		return errCut
	case isTimeout(err):
		return errBodySlow
	}
	return message.ErrClientGone
}

// CutBody makes the goroutine that reads the body stop.
func (c *conn) CutBody() {
	c.cut.Store(true)
	_ = c.nc.SetReadDeadline(longAgo) // the connection's own goroutine forgets what was armed, in nextHead
}

// shut ends the connection. If the client may still be sending, or has sent
// more, it is given a moment to read the answer first: a close with unread bytes
// is a reset, which may overtake the answer (RFC 9112 section 9.6).
func (c *conn) shut() {
	if !c.closed && (c.strange || !c.body.whole() || c.answered && c.hasMore()) {
		c.lingerClose()
	}
	_ = c.nc.Close()
	c.drop()
	if c.out != nil {
		putBuffer(c.out)
		c.out = nil
	}
	c.giveCall()
}

// hangUp ends the connection from another goroutine, as if the client had left:
// unlike with Close, whoever waits on the connection is told, and the Watcher
// too, so that a call whose endpoint is silent ends.
func (c *conn) hangUp() {
	tcp, ok := c.nc.(*net.TCPConn)
	if !ok {
		_ = c.nc.Close()
		return
	}
	_ = tcp.CloseRead()
	_ = tcp.CloseWrite()
}

// hasMore tells whether the client has sent what nobody has read.
func (c *conn) hasMore() (more bool) {
	_ = c.rc.Control(func(fd uintptr) {
		n, err := unix.IoctlGetInt(int(fd), unix.TIOCINQ)
		more = c.r < c.w || err == nil && n > 0
	})
	return more
}

// How much and how long weir goes on reading what nobody wants.
const (
	lingerBytes = 256 << 10
	lingerTime  = time.Second
)

func (c *conn) lingerClose() {
	if c.closeWrite() != nil {
		return
	}
	c.setReadDeadline(moment.Now().Add(lingerTime))
	for n := 0; n < lingerBytes; n += c.w {
		c.r, c.w = 0, 0
		if c.fill() != nil {
			return
		}
	}
}
