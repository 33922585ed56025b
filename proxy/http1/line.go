package http1

import (
	"container/list"
	"context"
	"errors"
	"os"

	"github.com/weir-gateway/weir/proxy/message"
	"github.com/weir-gateway/weir/proxy/table"
)

// A waiter is a call in line for a connection to its endpoint. It sleeps on its
// client's connection, as a held call does, so it notices when the client leaves.
// Whoever is first in line gets the next connection, one that came free or one
// that was made; so no more are made than there are calls in line.
type waiter struct {
	down   message.Downstream
	serial uint64
	place  *list.Element // nil once it has been served

	conn *upConn // what it has got,
	err  error   // or why it gets none
}

// joinLocked puts a call at the end of the line, and has a connection made if
// there may be one more.
func (p *Pool) joinLocked(down message.Downstream) *waiter {
	p.serial++
	w := &waiter{down: down, serial: p.serial}
	w.place = p.waiting.PushBack(w)
	p.dialLocked()
	return w
}

// serveLocked ends the wait of one in line. Waking is a store and a deadline, and
// under the lock it cannot come when the call has gone on to other things.
func (p *Pool) serveLocked(at *list.Element, u *upConn, err error) {
	w := p.waiting.Remove(at).(*waiter)
	w.place, w.conn, w.err = nil, u, err
	w.down.Wake()
}

// await returns what the wait comes to, by the call's deadline or max_wait at the
// latest.
func (p *Pool) await(w *waiter, x *message.Exchange) (*upConn, error) {
	until, passed := x.Deadline, os.ErrDeadlineExceeded
	if most := p.settings.Load().Upstream.MaxWait; most > 0 && x.Sent.Add(most) < until {
		until, passed = x.Sent.Add(most), message.ErrBusy
	}
	for {
		err := x.Down.Wait(until.Time())
		if errors.Is(err, os.ErrDeadlineExceeded) {
			err = passed
		}
		p.mu.Lock()
		switch {
		case w.place == nil: // served, perhaps at the last moment
			p.mu.Unlock()
			if w.conn != nil && err == message.ErrClientGone {
				p.put(w.conn)
				return nil, err
			}
			return w.conn, w.err
		case err != nil:
			p.waiting.Remove(w.place)
			p.mu.Unlock()
			return nil, err
		}
		p.mu.Unlock()
	}
}

// dialLocked has as many connections made as somebody waits for, within the
// limits.
func (p *Pool) dialLocked() {
	most := p.settings.Load().Upstream
	for p.dials < p.waiting.Len() && (most.MaxDials == 0 || p.dials < most.MaxDials) && (most.MaxConnections == 0 || p.open < most.MaxConnections) {
		p.dials++
		p.open++
		go p.dialFor(p.serial, p.stood)
	}
}

// dialFor makes a connection for whoever is first in line when it stands. newest
// and stood are the Pool's when it begins. It ends within the connect timeout.
func (p *Pool) dialFor(newest, stood uint64) {
	u, err := p.dial(context.Background())
	p.mu.Lock()
	p.dials--
	taken := err != nil
	if err == nil {
		p.stood++
		taken = p.offerLocked(u)
	} else {
		p.open--
		p.refuseLocked(newest, stood, err)
	}
	p.dialLocked()
	p.mu.Unlock()
	if !taken {
		u.discard(table.Dismissed)
	}
}

// refuseLocked ends the waits that a failed dial ends: of all who were there when
// it began, for they would hear the same, and each of them late; but only of the
// first if another dial has gone well meanwhile.
func (p *Pool) refuseLocked(newest, stood uint64, err error) {
	for at := p.waiting.Front(); at != nil; at = p.waiting.Front() {
		if at.Value.(*waiter).serial > newest {
			return
		}
		p.serveLocked(at, nil, err)
		if p.stood != stood {
			return
		}
	}
}
