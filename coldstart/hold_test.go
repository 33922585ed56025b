package coldstart

import (
	"errors"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// A parker sleeps on a channel, as a call sleeps on its connection.
type parker struct{ woken chan struct{} }

func newParker() *parker { return &parker{make(chan struct{}, 1)} }

func (p *parker) Wait(until time.Time) error {
	timer := time.NewTimer(time.Until(until))
	defer timer.Stop()
	select {
	case <-p.woken:
		return nil
	case <-timer.C:
		return os.ErrDeadlineExceeded
	}
}

func (p *parker) Wake() {
	select {
	case p.woken <- struct{}{}:
	default:
	}
}

func line(limit int) *Hold { return NewHold(limit, NewPool(100), func() {}) }

func join(t *testing.T, h *Hold) (*Waiter, *parker) {
	t.Helper()
	w, p := &Waiter{}, newParker()
	if err := h.Join(w, p, Claim{Now: time.Now()}); err != nil {
		t.Fatalf("join: %v", err)
	}
	return w, p
}

func TestBounds(t *testing.T) {
	pool := NewPool(3)
	a, b := NewHold(2, pool, func() {}), NewHold(2, pool, func() {})
	first, _ := join(t, a)
	join(t, a)
	if err := a.Join(&Waiter{}, newParker(), Claim{Now: time.Now()}); !errors.Is(err, ErrLineFull) {
		t.Errorf("third in a line of two: %v", err)
	}
	join(t, b)
	if err := b.Join(&Waiter{}, newParker(), Claim{Now: time.Now()}); !errors.Is(err, ErrLineFull) {
		t.Errorf("fourth in a pool of three: %v", err)
	}
	first.Leave()
	join(t, b)
	if a.Len() != 1 || b.Len() != 2 || pool.Held() != 3 {
		t.Errorf("lines %d and %d, pool %d", a.Len(), b.Len(), pool.Held())
	}
}

func TestNeedIsSaidWheneverTheLineHasDoubled(t *testing.T) {
	said := 0
	h := NewHold(10, NewPool(10), func() { said++ })
	first, _ := join(t, h)
	second, _ := join(t, h)
	if said != 2 {
		t.Errorf("said %d times for two in line", said)
	}
	join(t, h)
	if said != 2 {
		t.Errorf("said %d times for three in line", said)
	}
	fourth, _ := join(t, h)
	fourth.Leave()
	first.Leave()
	second.Leave()
	if said != 3 {
		t.Errorf("said %d times for four in line", said)
	}
}

func TestTurnsComeInOrder(t *testing.T) {
	h := line(10)
	var waiters []*Waiter
	for range 4 {
		w, _ := join(t, h)
		waiters = append(waiters, w)
	}
	turns := func() (s string) {
		for _, w := range waiters {
			if w.Turn() {
				s += "y"
			} else {
				s += "n"
			}
		}
		return s
	}
	if got := turns(); got != "ynnn" {
		t.Errorf("after joining: %s", got)
	}
	h.Wake(2)
	if got := turns(); got != "yynn" {
		t.Errorf("two woken: %s", got)
	}
	waiters[0].Leave()
	if got := turns(); got != "nynn" {
		t.Errorf("the first left: %s", got)
	}
	h.Wake(100)
	if got := turns(); got != "nyyy" {
		t.Errorf("all woken: %s", got)
	}
}

// In order, until half of the time of the one that has waited longest is over.
func TestLineThatIsLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := line(10)
		h.SetLIFO(true)
		var waiters []*Waiter
		for range 4 {
			w := &Waiter{}
			if err := h.Join(w, newParker(), Claim{Now: time.Now(), Until: time.Now().Add(10 * time.Second)}); err != nil {
				t.Fatal(err)
			}
			waiters = append(waiters, w)
			time.Sleep(time.Second)
		}
		goes := func(want int) {
			t.Helper()
			h.Wake(1)
			for i, w := range waiters {
				if w.Turn() != (i == want) {
					t.Errorf("the first is %v old: who came as number %d is let look: %v", time.Since(waiters[0].half)+5*time.Second, i, i != want)
				}
			}
		}
		waiters[0].Turn() // it was let look when it joined
		time.Sleep(time.Second)
		goes(0) // after exactly half
		time.Sleep(time.Nanosecond)
		goes(3)
		waiters[0].Leave() // and the next one has its half before it
		waiters[1].Turn()
		goes(1)
		time.Sleep(2 * time.Second)
		goes(3)
		h.SetLIFO(false)
		goes(1)
	})
}

func TestVerdictEndsEveryWaitAndClosesTheDoor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := line(100)
		reason := errors.New("no such image")
		var work sync.WaitGroup
		for range 20 {
			work.Go(func() {
				w, _ := join(t, h)
				defer w.Leave()
				err := w.Wait(time.Now().Add(time.Hour))
				if !errors.Is(err, ErrNoStart) || !errors.Is(err, reason) {
					t.Errorf("told %v", err)
				}
			})
		}
		synctest.Wait()
		h.Fail(&NoStart{Reason: reason, Retry: 5 * time.Second}, time.Now())
		work.Wait()
		time.Sleep(2 * time.Second)
		var no *NoStart
		if err := h.Join(&Waiter{}, newParker(), Claim{Now: time.Now()}); !errors.As(err, &no) || no.Retry != 3*time.Second {
			t.Errorf("at the door: %v", err)
		}
		time.Sleep(3 * time.Second)
		join(t, h)
	})
}

func TestWaitEndsAtItsMoment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := line(1)
		w, _ := join(t, h)
		w.Turn()
		began := time.Now()
		if err := w.Wait(began.Add(time.Second)); !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(began) != time.Second {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		w.Leave()
		if !h.Empty() || h.pool.Held() != 0 {
			t.Error("a place is still taken")
		}
	})
}

func TestCloseIsForEver(t *testing.T) {
	h := line(2)
	w, _ := join(t, h)
	h.Close(ErrGone)
	if err := w.Wait(time.Now().Add(time.Hour)); !errors.Is(err, ErrGone) {
		t.Errorf("told %v", err)
	}
	w.Leave()
	if err := h.Join(&Waiter{}, newParker(), Claim{Now: time.Now().Add(time.Hour)}); !errors.Is(err, ErrGone) {
		t.Errorf("at the door: %v", err)
	}
}

func TestHoldAllocs(t *testing.T) {
	h, p := line(10), newParker()
	now := time.Now()
	var w Waiter
	if n := testing.AllocsPerRun(1000, func() {
		_ = h.Join(&w, p, Claim{Now: now})
		h.Wake(1)
		_ = w.Turn()
		w.Leave()
	}); n > 0 {
		t.Errorf("a place in line allocates %.0f times", n)
	}
}

func BenchmarkEmpty(b *testing.B) {
	h := line(10)
	for b.Loop() {
		if !h.Empty() {
			b.Fatal("not empty")
		}
	}
}

func BenchmarkJoinWakeLeave(b *testing.B) {
	h, p := line(10), newParker()
	now := time.Now()
	var w Waiter
	for b.Loop() {
		_ = h.Join(&w, p, Claim{Now: now})
		h.Wake(1)
		w.Leave()
	}
}

// A full line makes room for who is more urgent, at the cost of the last of the least
// urgent; who had been in before is never turned away.
func TestFullLineMakesRoomByPriority(t *testing.T) {
	h := NewHold(3, NewPool(10), func() {})
	join := func(p Priority, limit int) (*Waiter, error) {
		w := &Waiter{}
		return w, h.Join(w, newParker(), Claim{Priority: p, Limit: limit})
	}
	must := func(p Priority) *Waiter {
		t.Helper()
		w, err := join(p, 0)
		if err != nil {
			t.Fatal(err)
		}
		return w
	}
	low, normal, last := must(Low), must(Normal), must(Low)
	if _, err := join(Low, 0); err != ErrLineFull {
		t.Errorf("one no more urgent: %v", err)
	}
	if _, err := join(Normal, 2); err != nil {
		t.Errorf("one that has less room, and is more urgent: %v", err)
	}
	if normal.Turn() {
		t.Error("it is somebody's turn because another went who had not been let look")
	}
	if err := last.Wait(time.Now()); err != ErrDisplaced || !errors.Is(err, ErrLineFull) {
		t.Errorf("the last of the low ones: %v", err)
	}
	if !must(High).Turn() {
		t.Error("the turn of who was displaced is lost")
	}
	if err := low.Wait(time.Now()); err != ErrDisplaced {
		t.Errorf("the first of the low ones: %v", err)
	}
	last.Leave()
	low.Leave()
	must(High)
	if _, err := join(Normal, 0); err != ErrLineFull {
		t.Errorf("nobody is less urgent: %v", err)
	}
	again := &Waiter{}
	if err := h.Join(again, newParker(), Claim{Priority: High, Again: true}); err != nil || h.Len() != 4 || normal.over() != nil {
		t.Errorf("one that had been in: %v, %d in line, %v", err, h.Len(), normal.over())
	}
}
