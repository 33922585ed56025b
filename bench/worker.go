package bench

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// A worker is one event loop on its own thread: it sends when it is time,
// takes answers as they come, and keeps a record. All of it belongs to its
// goroutine.
type worker struct {
	load     *Load
	at       netip.AddrPort
	kinds    wheel
	sources  wheel
	schedule *schedule // nil: closed loop
	quota    int64     // calls that may be sent still
	clock    func() time.Duration

	*record
	poll    *poller
	conns   []conn
	ready   []*conn // connected and without a call, the last used first
	dead    []*conn // not connected
	opening int     // connects under way
	oldest  *conn   // of the calls that wait for an answer
	newest  *conn
	buf     []byte

	next    time.Duration // when the next call is due
	more    bool          // there is a next one
	end     time.Duration // of the measurement
	resume  time.Duration // closed loop: when dead connections are tried again
	blocked time.Duration // spent in waiting for events
	cpu     time.Duration

	refusing    bool          // no connection could be made since
	refusedFrom time.Duration // this moment
	gone        bool          // for so long that the run ended
	reason      string        // of the last refusal
}

// goneAfter is how long a target may refuse all connections before the run
// ends: it has died.
const goneAfter = 2 * time.Second

// retryEvery is when a closed loop tries dead connections again.
const retryEvery = 20 * time.Millisecond

func newWorker(l *Load, at netip.AddrPort, i int, t *tape) *worker {
	w := &worker{
		load:   l,
		at:     at,
		quota:  share(l.Count, i, l.Workers),
		record: newRecord(len(l.Kinds), t),
		conns:  make([]conn, share(int64(l.Connections), i, l.Workers)),
		buf:    make([]byte, 64<<10),
		end:    l.Duration,
	}
	random := rand.New(rand.NewPCG(l.Seed, uint64(i)+1<<32))
	w.kinds.random, w.sources.random = random, random
	for _, k := range l.Kinds {
		w.kinds.add(k.Weight)
	}
	for _, s := range l.Sources {
		w.sources.add(s.Weight)
	}
	if len(l.Steps) > 0 {
		w.schedule = newSchedule(l.warm(), l.Poisson, i, l.Workers, l.Seed)
	}
	for j := range w.conns {
		w.conns[j].fd, w.conns[j].place = -1, int32(j)
		w.dead = append(w.dead, &w.conns[j])
	}
	return w
}

// warm is the schedule with the warm-up before it, at the rate it begins with.
func (l *Load) warm() []Step {
	if l.Warmup == 0 {
		return l.Steps
	}
	first := l.Steps[0].From
	if first == 0 {
		first = l.Steps[0].To / 10
	}
	return append([]Step{{first, first, l.Warmup}}, l.Steps...)
}

// share is the i-th part of n.
func share(n int64, i, parts int) int64 {
	each := n / int64(parts)
	if int64(i) < n%int64(parts) {
		each++
	}
	return each
}

// A wheel chooses by weight.
type wheel struct {
	random *rand.Rand
	upTo   []int
}

func (w *wheel) add(weight int) {
	before := 0
	if n := len(w.upTo); n > 0 {
		before = w.upTo[n-1]
	}
	w.upTo = append(w.upTo, before+weight)
}

func (w *wheel) choose() int {
	if len(w.upTo) == 1 {
		return 0
	}
	x := w.random.IntN(w.upTo[len(w.upTo)-1])
	for i, up := range w.upTo {
		if x < up {
			return i
		}
	}
	panic("BUG: a wheel without its last part")
}

// open connects everything, a few at a time so that no accept queue runs over,
// and returns when all are there or cannot be had.
func (w *worker) open(ctx context.Context) (err error) {
	if w.poll, err = newPoller(); err != nil {
		return fmt.Errorf("epoll: %w", err)
	}
	left := w.dead
	w.dead = nil
	lost := w.clock() + w.load.Timeout
	for len(left) > 0 || w.opening > 0 {
		for len(left) > 0 && w.opening < 128 {
			c := left[0]
			left = left[1:]
			if err := w.connect(c); err != nil {
				return fmt.Errorf("%w: %s: %w", ErrUnreachable, w.at, err)
			}
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if w.clock() > lost {
			return fmt.Errorf("%w: %s: %d of %d connections were made within %s", ErrUnreachable, w.at, len(w.ready), len(w.conns), w.load.Timeout)
		}
		if err := w.events(10 * time.Millisecond); err != nil {
			return err
		}
		if len(w.dead) > 0 && len(w.ready) == 0 {
			return fmt.Errorf("%w: %s: %s", ErrUnreachable, w.at, w.reason)
		}
		left, w.dead = append(left, w.dead...), nil
	}
	return nil
}

// run sends and receives until the end. The measurement begins at 0 of its
// clock, the warm-up before.
func (w *worker) run(ctx context.Context) error {
	w.due()
	began, cpu := w.clock(), threadTime()
	for now := began; !w.over(now); {
		if ctx.Err() != nil {
			w.end, w.more = min(w.end, now), false
		}
		w.turn(now)
		w.expire(now)
		w.send(now)
		if err := w.events(w.patience()); err != nil {
			return err
		}
		now = w.clock()
	}
	w.abandon()
	w.cpu = threadTime() - cpu
	w.tape.add(w.second, w.slice)
	return nil
}

// over tells when all calls have ended that will.
func (w *worker) over(now time.Duration) bool {
	if w.gone {
		return true
	}
	return (w.quota == 0 || now >= w.end && !w.more) && w.oldest == nil
}

// due finds out when the next call is to be sent. One that was due before the
// end is made, however late, as long as its deadline has not passed.
func (w *worker) due() {
	if w.schedule != nil {
		w.next, w.more = w.schedule.next()
		w.next -= w.load.Warmup
		w.more = w.more && w.next < w.end
	}
}

// send sends what is due, as long as there are connections for it.
func (w *worker) send(now time.Duration) {
	if w.schedule == nil {
		w.sendClosed(now)
		return
	}
	for w.more && w.next <= now && w.quota > 0 {
		if now-w.next > w.load.Timeout {
			w.quota--
			w.add(w.kinds.choose(), unsent, 0, moments{w.next, now, now})
			w.due()
			continue
		}
		c := w.take()
		if c == nil {
			return // the next one that becomes free
		}
		w.begin(c, w.next, now)
		w.due()
		now = w.clock()
	}
}

// sendClosed keeps a call on every connection.
func (w *worker) sendClosed(now time.Duration) {
	for now < w.end && w.quota > 0 && len(w.ready) > 0 {
		w.begin(w.take(), now, now)
		now = w.clock()
	}
	if now >= w.end || len(w.dead) == 0 || now < w.resume {
		return
	}
	w.resume = now + retryEvery
	for n := len(w.dead); n > 0 && w.quota > 0; n-- {
		w.begin(w.take(), now, now)
	}
}

// take is a connection for a call: one that is there, or else one to be made.
func (w *worker) take() (c *conn) {
	if n := len(w.ready); n > 0 {
		c, w.ready = w.ready[n-1], w.ready[:n-1]
		return c
	}
	if n := len(w.dead); n > 0 {
		c, w.dead = w.dead[0], w.dead[1:]
		return c
	}
	return nil
}

// begin puts a call on a connection, which is made first if there is none.
func (w *worker) begin(c *conn, intended, now time.Duration) {
	w.quota--
	c.kind = w.kinds.choose()
	k := &w.load.Kinds[c.kind]
	c.m = moments{intended: intended, sent: now}
	c.out = k.payload
	c.answer = answer{toHead: k.Method == "HEAD"}
	w.wait(c)
	if c.state == closed {
		if err := w.connect(c); err != nil {
			w.reason = err.Error()
			w.fail(c, refused)
		}
		return
	}
	if w.schedule != nil && intended >= 0 {
		note(w.late, now-max(intended, c.freeAt))
	}
	c.state = busy
	w.flush(c)
}

// flush sends what the socket takes.
func (w *worker) flush(c *conn) {
	for len(c.out) > 0 {
		n, err := send(c.fd, c.out)
		switch {
		case err == unix.EAGAIN:
			return // an event tells when to go on
		case err != 0:
			w.fail(c, broken)
			return
		}
		c.out = c.out[n:]
	}
}

func (w *worker) connect(c *conn) error {
	var from netip.Addr
	if len(w.load.Sources) > 0 {
		from = w.load.Sources[w.sources.choose()].Address
	}
	fd, err := dial(w.at, from)
	if err != nil {
		return err
	}
	c.fd, c.state, c.served, c.ending = fd, connecting, 0, false
	c.turn++
	w.opening++
	return w.poll.add(fd, c.place, c.turn)
}

// patience is how long to wait for events before something else is to be done.
func (w *worker) patience() time.Duration {
	until := time.Duration(w.second+1) * time.Second
	now := w.clock()
	if w.more && w.quota > 0 && len(w.ready)+len(w.dead) > 0 {
		until = min(until, w.next)
	}
	if now < w.end {
		until = min(until, w.end)
		if w.schedule == nil && len(w.dead) > 0 {
			until = min(until, w.resume)
		}
	}
	if w.oldest != nil {
		until = min(until, w.oldest.m.intended+w.load.Timeout)
	}
	return max(0, min(until-now, 100*time.Millisecond))
}

// lockThread gives the goroutine a thread whose waits end when they are to,
// until it calls unlock. A thread that ended with its goroutine would take the
// programs with it that were started on it and are to die with us (Pdeathsig,
// prctl(2)).
func lockThread() (unlock func()) {
	runtime.LockOSThread()
	_ = unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0) // ns; 50 µs is what others get
	return func() {
		_ = unix.Prctl(unix.PR_SET_TIMERSLACK, 0, 0, 0, 0) // what it was
		runtime.UnlockOSThread()
	}
}

func threadTime() time.Duration {
	var u unix.Rusage
	if unix.Getrusage(unix.RUSAGE_THREAD, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
