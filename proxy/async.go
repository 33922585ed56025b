package proxy

import (
	"context"
	"crypto/rand"
	"errors"
	"sync"
	"time"

	"github.com/weir-gateway/weir/coldstart"
	"github.com/weir-gateway/weir/config"
	"github.com/weir-gateway/weir/proxy/message"
	"github.com/weir-gateway/weir/proxy/table"
)

// Calls for which nobody waits, RFC 7240 section 4.1: their clients have a 202
// and come back for the answer. All of it is in memory, and bounded: what cannot
// be kept is refused, never dropped in silence.

var (
	errAsyncFull = errors.New("as much is kept for clients that do not wait as may be")
	errAsyncLost = errors.New("the answer was not whole, or larger than is kept")
	errNoCall    = errors.New("no call is kept under that id")
	errAsyncBody = message.Refuse(message.KindBodyTooLarge, "the body is larger than is kept for a call that nobody waits for")
)

// An errand is a call that nobody waits for, and its answer once there is one.
type errand struct {
	id       string
	fn       *table.Function
	errands  *errands
	body     []byte // of the request
	maxBytes int    // of the answer

	// Guarded by errands.mu:
	kept    int // bytes
	state   errandState
	answer  message.Response // its Fields are its own; Added is empty
	content []byte
	polls   map[coldstart.Parker]struct{} // who waits for it after all
	cancel  func()                        // ends the try under way; nil if there is none
}

type errandState uint8

const (
	pending errandState = iota
	done                // the function has answered
	failed              // weir has, for want of an answer
	lost                // the answer broke off
)

// String is what X-Weir-Async says.
func (s errandState) String() string { return [...]string{"pending", "done", "failed", "failed"}[s] }

// Errands are all that there are. Methods may be called from any goroutine.
type errands struct {
	work sync.WaitGroup // of those under way

	mu     sync.Mutex // guards all below
	byID   map[string]*errand
	under  int // way
	kept   int // bytes
	limits config.Async
	over   bool // the time to finish has passed
}

// open makes room for a call, and gives it an id that nobody can guess.
func (e *errands) open(limits config.Async, fn *table.Function, size int) (*errand, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.limits = limits
	if e.over || len(e.byID) >= limits.MaxCalls || e.kept+size > int(limits.MaxBytes) {
		return nil, errAsyncFull
	}
	if e.byID == nil {
		e.byID = map[string]*errand{}
	}
	it := &errand{id: rand.Text(), fn: fn, errands: e, kept: size, maxBytes: int(limits.MaxResponse)}
	e.byID[it.id] = it
	e.kept += size
	e.under++
	e.work.Add(1)
	return it, nil
}

// find returns what an id stands for, and how far it is.
func (e *errands) find(id []byte) (*errand, errandState) {
	e.mu.Lock()
	defer e.mu.Unlock()
	it := e.byID[string(id)]
	if it == nil {
		return nil, 0
	}
	return it, it.state
}

// grow keeps n further bytes, if there is room.
func (it *errand) grow(n int) bool {
	e := it.errands
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case e.byID[it.id] != it:
		return true // dropped: what it takes goes when it has ended
	case e.kept+n > int(e.limits.MaxBytes):
		return false
	}
	it.kept += n
	e.kept += n
	return true
}

// end keeps how the call has ended, for as long as that may be, and tells who
// waits for it.
func (it *errand) end(state errandState, answer message.Response, content []byte) {
	e := it.errands
	e.mu.Lock()
	defer e.mu.Unlock()
	if it.state != pending {
		return
	}
	it.state, it.answer, it.content, it.cancel = state, answer, content, nil
	if e.byID[it.id] != it {
		return // it was dropped
	}
	e.kept -= len(it.body)
	it.kept -= len(it.body)
	it.body = nil
	e.under--
	for p := range it.polls {
		p.Wake()
	}
	it.forgetIn(e.limits.Keep)
}

// keepFetched is how long an answer stays that somebody has fetched: for clients
// whose connection broke with the answer on it.
const keepFetched = time.Minute

// drop lets go of a call whose id nobody knows. It may be under way, and ends
// unheard.
func (it *errand) drop() {
	e := it.errands
	e.mu.Lock()
	defer e.mu.Unlock()
	it.dropLocked()
}

func (it *errand) dropLocked() {
	e := it.errands
	if e.byID[it.id] != it {
		return
	}
	delete(e.byID, it.id)
	e.kept -= it.kept
	if it.state == pending {
		e.under--
	}
}

func (it *errand) forgetIn(d time.Duration) {
	time.AfterFunc(d, it.drop)
}

// await waits until the call has ended, at most until a moment.
func (it *errand) await(p coldstart.Parker, until time.Time) error {
	e := it.errands
	e.mu.Lock()
	if it.polls == nil {
		it.polls = map[coldstart.Parker]struct{}{}
	}
	it.polls[p] = struct{}{}
	e.mu.Unlock()
	defer func() {
		e.mu.Lock()
		delete(it.polls, p)
		e.mu.Unlock()
	}()
	for {
		if _, state := e.find([]byte(it.id)); state != pending {
			return nil
		}
		if err := p.Wait(until); err != nil {
			return err
		}
	}
}

// cancelAll ends the tries that are under way.
func (e *errands) cancelAll() {
	e.mu.Lock()
	e.over = true
	var cancels []func()
	for _, it := range e.byID {
		if it.cancel != nil {
			cancels = append(cancels, it.cancel)
		}
	}
	e.mu.Unlock()
	for _, cancel := range cancels {
		cancel()
	}
}

// Async tells how many calls are under way that nobody waits for, how many
// answers are kept, and how many bytes all of them take.
func (p *Proxy) Async() (underWay, answers, bytes int) {
	e := &p.errands
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.under, len(e.byID) - e.under, e.kept
}

// AwaitAsync returns when no call is under way that nobody waits for, or ctx
// ends; it tells how many still are. Answers that were not fetched are lost with
// weir, and counted too.
func (p *Proxy) AwaitAsync(ctx context.Context) (underWay, answers int) {
	over := make(chan struct{})
	go func() {
		p.errands.work.Wait()
		close(over)
	}()
	select {
	case <-over:
	case <-ctx.Done():
	}
	underWay, answers, _ = p.Async()
	return underWay, answers
}
