package http1

import (
	"errors"

	"github.com/weir-gateway/weir/internal/moment"
	"github.com/weir-gateway/weir/proxy/message"
)

// A tunnel is what a call becomes after a 101 (Switching Protocols): the
// response's body is what the endpoint sends until it closes its side, the
// upload what the client sends until it does. Each half-close is passed on.

// Switch makes the connection a tunnel.
func (c *conn) Switch() {
	c.tunnel = true
	c.call.Request.Close = true
	c.body.begin(message.UntilClose, 0, true)
}

// switchOver makes a try a tunnel, if the endpoint has switched to what the
// client asked for. What the client has sent ahead goes off at once.
func (u *upConn) switchOver() error {
	x := u.x
	var protocol []byte
	for i := range x.Response.Fields {
		if f := &x.Response.Fields[i]; f.ID == message.Upgrade {
			protocol = f.Value
		}
	}
	if x.Request.Upgrade == nil || !offered(protocol, x.Request.Upgrade) {
		return errSwitched
	}
	if u.watching { // a client that closes its side has not left
		x.Down.Unwatch()
	}
	u.watching, u.tunnel, u.keep = true, true, false
	u.body.begin(message.UntilClose, 0, false)
	x.Down.Switch()
	u.startUpload()
	return nil
}

var errSwitched = protocol("it switched to a protocol that was not asked for")

// endWay ends the way to the endpoint, when the client has closed its side.
func (u *upConn) endWay() bool {
	if u.secure != nil {
		return u.secure.tls.CloseWrite() == nil
	}
	half, ok := u.nc.(halfCloser)
	return ok && half.CloseWrite() == nil
}

// stalled tells whether nothing has come from the client either for as long as
// a tunnel may stand still.
func (u *upConn) stalled(now moment.Moment) bool {
	return now.Sub(moment.Moment(u.upload.moved.Load())) >= u.x.Idle
}

// AwaitSent returns when the client has closed its side and everything it had
// sent is on its way to the endpoint.
func (u *upConn) AwaitSent() error {
	up := &u.upload
	if u.x.Idle == 0 {
		<-up.done
	}
	for !up.over(u.x.Idle) {
		if u.stalled(moment.Now()) {
			return message.ErrStalled
		}
	}
	if bad := up.failure(); bad != nil {
		return bad
	}
	return nil
}

// A halfCloser can end its way out and go on to read.
type halfCloser interface{ CloseWrite() error }

var errHalfClose = errors.New("the connection cannot be closed by halves")

func (c *conn) closeWrite() error {
	half, ok := c.nc.(halfCloser)
	if !ok {
		return errHalfClose
	}
	return half.CloseWrite()
}
