package http1

import (
	"errors"
	"fmt"
	"syscall"

	"github.com/weir-gateway/weir/proxy/message"
	"github.com/weir-gateway/weir/proxy/table"
)

// Try carries one request to the endpoint and brings the head of its response
// back.
func (p *Pool) Try(x *message.Exchange) error {
	x.Reused, x.Dialed = false, 0
	u, err := p.get(x)
	if err != nil {
		return err
	}
	if x.Reused = u.kept; !u.kept {
		x.Dialed = u.dialed
	}
	u.begin(x)
	if err = u.send(); err == nil {
		err = u.receive()
	}
	if err != nil {
		if u.unsent(err) {
			err = fmt.Errorf("%w: %w", message.ErrConnect, err)
		}
		err = u.verdict(err)
		u.release(err)
		return err
	}
	x.Up = u
	return nil
}

// unsent tells whether the try failed because the connection had been closed
// before anything was sent on it.
func (u *upConn) unsent(err error) bool {
	return len(u.ask) > 0 && len(u.ask) == u.asked && (errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET))
}

// verdict is what the end of a try means: whose doing it was comes before what
// was noticed first.
func (u *upConn) verdict(err error) error {
	if bad := u.upload.failure(); bad != nil {
		return bad
	}
	switch {
	case u.canceled():
		return message.ErrClientGone
	case errors.Is(err, message.ErrProtocol), errors.Is(err, message.ErrConnect), errors.Is(err, message.ErrClientGone),
		isTimeout(err):
		return err
	case u.secure != nil && isAlert(err):
		return fmt.Errorf("%w: %w", message.ErrTLSEnded, err)
	}
	return fmt.Errorf("%w: %w", message.ErrReset, err)
}

// Release ends the try: the connection is kept if both messages were whole and
// nothing forbids it.
func (u *upConn) Release() { u.release(nil) }

// release is Release after a response, or after the failure of the try.
func (u *upConn) release(failure error) {
	x := u.x
	if x == nil {
		return
	}
	gone := u.watching && x.Down.Unwatch()
	clean := u.endUpload()
	u.x = nil
	gen := u.generation() << 2
	ended := u.state.CompareAndSwap(gen|phaseRunning, gen) // phaseIdle
	if end := u.end(failure, !ended || gone, clean); end != alive {
		u.discard(end)
		return
	}
	u.wire.release()
	u.since, u.kept = x.Sent, true
	u.pool.put(u)
}

// end tells why the connection cannot be kept, or that it can.
func (u *upConn) end(failure error, canceled, clean bool) table.End {
	switch {
	case failure == nil && u.body.whole() && u.upload.wasCut():
		return table.Unsent
	case canceled:
		return table.Canceled
	case failure != nil:
		return u.endOf(failure)
	case !u.body.whole():
		return u.endOf(u.body.err)
	case !clean:
		return table.Unsent
	case u.r != u.w: // before Used: it says more of the endpoint
		return table.ExtraBytes // they belong to nobody
	case !u.keep:
		return table.Used
	case u.secure != nil && u.secure.look() == table.Unsolicited:
		return table.ExtraBytes
	}
	return alive
}

// endOf is why a connection was closed whose exchange came to err; nil is that
// nobody wants the rest of the response.
func (u *upConn) endOf(err error) table.End {
	switch {
	case err == nil, isTimeout(err), errors.Is(err, message.ErrClientGone), errors.Is(err, message.ErrStalled):
		return table.Canceled
	case u.kept && u.body.err == errNoHead && !errors.Is(err, message.ErrProtocol):
		return table.Stale
	}
	return table.Broken
}
