package http1

import (
	"time"

	"github.com/weir-gateway/weir/internal/moment"
	"github.com/weir-gateway/weir/proxy/message"
)

// How a try waits for its endpoint: with an eye on the client, until a deadline.

// patience is how long a call waits for its endpoint before somebody looks
// whether the client is still there. Registering costs two system calls,
// and most answers come sooner.
const patience = 20 * time.Millisecond

// await waits for bytes from the endpoint until the deadline; 0 is
// none. When that takes longer than patience it has the client watched. What
// else has its time meanwhile is done: a body that was announced with Expect
// goes off when the endpoint does not say whether it wants it.
func (u *upConn) await(deadline moment.Moment, expecting *bool) error {
	if u.r == u.w && u.buf != nil && u.body.err != nil {
		u.wire.release() // wait for a head without a buffer
	}
	began := u.x.Sent
	if !u.watching || *expecting {
		if u.body.err == nil { // later than the head: the try's begin is no measure any more
			began = moment.Now()
		}
		soon := began.Add(patience)
		if late := u.lateAt(); late != 0 && late < soon {
			u.until(earlier(deadline, late), late.Sub(began)/2)
		} else {
			u.until(earlier(deadline, soon), patience/2)
		}
	} else {
		u.until(deadline, u.x.Idle/8)
	}
	for {
		err := u.fillAfterOthers()
		if !isTimeout(err) {
			return err
		}
		now := moment.Now()
		if deadline != 0 && now >= deadline {
			if deadline = u.afterBody(); now >= deadline {
				return err
			}
		}
		if !u.watching {
			u.watching = true
			u.x.Down.Watch(u, u.generation())
		}
		next := deadline
		if late := u.lateAt(); late != 0 {
			if now < late {
				next = earlier(deadline, late)
			} else {
				u.x.LateAt = 0
				u.x.Hedge.Late()
				if again := u.lateAt(); again != 0 {
					next = earlier(deadline, again)
				}
			}
		}
		if *expecting {
			if giveUp := began.Add(expectPatience); now < giveUp {
				next = earlier(deadline, giveUp)
			} else {
				*expecting = false
				if err := u.askForBody(); err != nil {
					return err
				}
			}
		}
		u.setReadDeadline(next)
	}
}

// lateAt is when somebody is to be told that the head has not come; 0 if
// nobody is.
func (u *upConn) lateAt() moment.Moment {
	if u.x.Hedge == nil || u.body.err == nil {
		return 0
	}
	return u.x.LateAt
}

// afterBody is the deadline for the head of an answer to an upload; of anything
// else it has passed.
func (u *upConn) afterBody() moment.Moment {
	if !u.upload.started || u.body.err == nil || u.x.AfterBody == 0 {
		return 0
	}
	return moment.Moment(u.upload.moved.Load()).Add(u.x.AfterBody)
}

// earlier is the earlier of two moments, of which a may be none.
func earlier(a, b moment.Moment) moment.Moment {
	if a == 0 || b < a {
		return b
	}
	return a
}

// fillBody waits for more of the response's body, for as long as it may stand
// still. The client is watched meanwhile.
func (u *upConn) fillBody() error {
	for expecting := false; ; {
		now := moment.Now()
		deadline := moment.Moment(0)
		if u.x.Idle > 0 {
			deadline = now.Add(u.x.Idle)
		}
		err := u.await(deadline, &expecting)
		switch {
		case err == nil:
			return nil
		case u.canceled():
			return message.ErrClientGone
		case !isTimeout(err):
			return err
		case !u.tunnel || u.stalled(moment.Now()):
			return message.ErrStalled
		}
	}
}
