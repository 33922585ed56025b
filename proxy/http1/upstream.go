package http1

import (
	"crypto/tls"
	"errors"
	"io"
	"sync/atomic"
	"time"

	"github.com/weir-gateway/weir/internal/moment"
	"github.com/weir-gateway/weir/proxy/message"
	"github.com/weir-gateway/weir/proxy/table"
)

const (
	// expectPatience is how long an endpoint that was told of an Expect may
	// keep silent before the body is sent all the same, RFC 9110 section
	// 10.1.1.
	expectPatience = time.Second

	// maxInterims is how many 1xx heads may precede an answer.
	maxInterims = 32

	// maxResponseHead and maxResponseFields bound the head of a response.
	maxResponseHead   = 64 << 10
	maxResponseFields = 1000
)

// An upConn is a connection to an endpoint, and the try on it.
type upConn struct {
	wire
	pool  *Pool
	since moment.Moment // when it was last used

	dialed time.Duration // how long it took to make, TLS aside

	// The try: generation<<2 | phase. Whoever changes the phase from running
	// decides how the try ends, so that a cancel that comes late cannot hit the
	// connection when it carries another call.
	state atomic.Uint64

	x        *message.Exchange
	body     body
	asked    int  // how many bytes were to be sent at once
	keep     bool // the response allows another exchange
	watching bool
	tunnel   bool // the endpoint has switched protocols
	upload   upload

	tls    *tls.Config // what it was made under; nil: none
	kept   bool        // it has carried a call, or idled in the Pool
	lookFn func(fd uintptr)
	peek   [1]byte
	seen   table.End // what the last look at the idle connection said
}

const (
	phaseIdle = iota
	phaseRunning
	phaseCanceled
)

// errNoHead is the state of a response's body before its head is in.
var errNoHead = errors.New("the head of the response is not in yet")

func (u *upConn) begin(x *message.Exchange) {
	u.state.Store(u.state.Load()&^3 + 4 | phaseRunning)
	u.x, u.keep, u.watching, u.tunnel = x, false, false, false
	u.upload.started = false
	u.upload.err.Store(nil)
	u.body.err = errNoHead
	if x.Hedge != nil {
		x.Hedge.Trying(u, u.generation())
	}
}

// Adopt makes the response another exchange's.
func (u *upConn) Adopt(x *message.Exchange) { u.x, u.watching = x, false }

func (u *upConn) generation() uint64 { return u.state.Load() >> 2 }

// Cancel closes the connection if the try with that generation still runs.
func (u *upConn) Cancel(gen uint64) {
	if u.state.CompareAndSwap(gen<<2|phaseRunning, gen<<2|phaseCanceled) {
		u.reset()
	}
}

func (u *upConn) canceled() bool { return u.state.Load()&3 == phaseCanceled }

// send writes the head, and the body with it as far as it is here already. The
// rest of the body goes beside the response.
func (u *upConn) send() error {
	x := u.x
	out := getBuffer(smallBuffer)
	head := appendRequest(out[:0], &x.Request, u.pool.host(), x.Trailers)
	whole := x.Request.Framing == message.NoBody
	if !whole && !x.Request.Expect {
		var err error
		if head, whole, err = u.appendBody(head, cap(out)); err != nil {
			putBuffer(out)
			u.upload.fail(err)
			return err
		}
	}
	// An eighth of what is left, not a fixed time: what is armed may be an
	// earlier call's and must not have passed.
	u.writeBy(x.Deadline, x.Deadline.Sub(x.Sent)/8)
	u.asked = len(head)
	u.setAsk(head, out)
	if whole {
		return nil // receive has it sent
	}
	if err := u.sendAsk(); err != nil {
		return err
	}
	if !x.Request.Expect {
		u.startUpload()
	}
	return nil
}

// appendBody adds to the head what has come of the body, as far as there is
// room, and tells whether that was all of it.
func (u *upConn) appendBody(b []byte, room int) (out []byte, whole bool, err error) {
	x := u.x
	for x.Down.Ready() {
		p, err := x.Down.Next()
		if err == io.EOF {
			if x.Request.Framing == message.Chunked {
				b = appendLast(b, x.Down.Trailers(), x.Trailers)
			}
			return b, true, nil
		}
		if err != nil {
			return b, false, err
		}
		if x.Request.Framing == message.Chunked {
			b = appendChunkSize(b, len(p))
		}
		b = append(b, p...)
		if x.Request.Framing == message.Chunked {
			b = append(b, crlf...)
		}
		if len(b) > room {
			break
		}
	}
	return b, false, nil
}

// receive waits for the head of the response. What comes before it is passed
// on: 1xx heads, and the client's permission to send a body.
func (u *upConn) receive() error {
	x := u.x
	expecting := x.Request.Expect && x.Request.Framing != message.NoBody
	for range maxInterims {
		x.Response.Fields = x.Response.Fields[:0]
		if err := u.receiveHead(&expecting); err != nil {
			return err
		}
		switch status := x.Response.Status; {
		case status >= 200:
			if u.upload.started && !u.upload.over(uploadGrace) || expecting {
				x.Request.Close = true // the client is still sending what nobody reads
			}
			if expecting {
				u.keep = false // the endpoint may still wait for the body: what came next would be it
			}
			u.body.begin(x.Response.Framing, x.Response.Length, false)
			return nil
		case status == 101:
			return u.switchOver()
		case status == 100:
			if expecting {
				expecting = false
				if err := u.askForBody(); err != nil {
					return err
				}
			}
		default:
			dropHop(x.Response.Fields)
			if err := x.Down.Interim(&x.Response); err != nil {
				return err
			}
		}
	}
	return protocol("too many interim responses")
}

// dropHop marks what does not pass of an interim head: it goes to the client
// without the stations that see to that. Of the fields that weir knows none
// has a meaning there.
func dropHop(fields []message.Field) {
	for i := range fields {
		f := &fields[i]
		f.Drop = f.Drop || f.ID != message.Other
		if f.ID == message.Connection {
			message.DropNamed(fields, f.Value)
		}
	}
}

// askForBody tells the client to send the body it announced, and passes it on.
func (u *upConn) askForBody() error {
	if err := u.x.Down.Continue(); err != nil {
		return err
	}
	u.startUpload()
	return nil
}

// receiveHead reads one head off the wire.
func (u *upConn) receiveHead(expecting *bool) error {
	looked := 0
	for {
		n, next, err := headEnd(u.unread(), looked)
		if err != nil {
			return protocol(err.Error())
		}
		if n > 0 {
			u.keep, err = parseResponse(u.unread()[:n], &u.x.Response, string(u.x.Request.Method) == "HEAD", maxResponseFields)
			u.r += n
			return err
		}
		looked = next
		have := u.w - u.r
		if have >= maxResponseHead {
			return protocol("the head is too large")
		}
		if u.w == len(u.buf) && u.buf != nil {
			u.room(max(smallBuffer, 2*have), false)
		}
		if err := u.await(u.x.Deadline, expecting); err != nil {
			if err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return err
		}
	}
}

// Next returns the next bytes of the response's body.
func (u *upConn) Next() ([]byte, error) {
	p, err := u.body.Next()
	if err == message.ErrStalled {
		u.body.err = nil // whoever waits once more may have the rest
	}
	if err != nil && err != io.EOF {
		if _, malformed := errors.AsType[*message.Refusal](err); malformed {
			err = protocol(err.Error()) // it is not the client who is refused
		}
	}
	return p, err
}

// Ready tells whether Next would return without waiting.
func (u *upConn) Ready() bool { return u.body.Ready() }

// Trailers are those of the response.
func (u *upConn) Trailers() []message.Field { return u.body.Trailers() }
