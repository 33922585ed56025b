package consul

import (
	"sync"
	"time"
)

// turns say which queries may wait at the agent. The others poll, and take the
// place of one that has waited for nothing.
type turns struct {
	mu      sync.Mutex // guards all below
	most    int        // as configured
	limit   int        // as far as the agent lets us
	changed time.Time  // limit was
	taken   int
	polling int

	quick chan struct{} // a place for each query that is answered at once
}

const (
	fewestTurns = 2
	shrinkEvery = time.Second // of one burst of refusals
	growEvery   = time.Minute

	pollRate  = 100 // queries a second, over all that poll
	pollLeast = time.Second
	pollMost  = time.Minute
)

// newTurns shares out the connections to an agent: one in sixteen is for
// queries that are answered at once.
func newTurns(connections int) *turns {
	quick := max(1, connections/16)
	most := max(connections-quick, fewestTurns)
	return &turns{most: most, limit: most, quick: make(chan struct{}, quick)}
}

// take tries to get a place; waiting tells whether the query polled until now.
func (t *turns) take(polled bool) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.limit < t.most && time.Since(t.changed) > growEvery {
		t.limit += max(1, t.limit/10)
		t.limit, t.changed = min(t.limit, t.most), time.Now()
	}
	ok := t.taken < t.limit
	if ok {
		t.taken++
	}
	if polled == ok { // it begins to poll, or ends
		if ok {
			t.polling--
		} else {
			t.polling++
		}
	}
	return ok
}

// wanted tells whether one that has waited for nothing should give its place.
func (t *turns) wanted() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.polling > 0 || t.taken > t.limit
}

// give gives a place back.
func (t *turns) give() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.taken--
}

// held tells whether any query has a place.
func (t *turns) held() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.taken > 0
}

// tight tells whether the agent has let fewer in than want to, of late.
func (t *turns) tight(now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.limit < t.most && now.Sub(t.changed) < growEvery
}

// stop is for one that polled and ends.
func (t *turns) stop() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.polling--
}

// pause is how long one that polls rests between two queries.
func (t *turns) pause() time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	return min(max(time.Duration(t.polling)*time.Second/pollRate, pollLeast), pollMost)
}

// shrink notes that the agent has refused a connection, and returns how many
// queries may wait from now on; 0 if that is known already.
func (t *turns) shrink(now time.Time) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	if now.Sub(t.changed) < shrinkEvery {
		return 0
	}
	t.limit, t.changed = max(fewestTurns, t.limit*3/4), now
	return t.limit
}
