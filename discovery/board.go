package discovery

import (
	"cmp"
	"context"
	"slices"
	"sync"
)

// A Board shows the newest set of each function to those who watch it: what
// providers have in common that learn of changes one by one. Its methods may be
// called from any goroutine.
type Board struct {
	mu     sync.Mutex        // guards all below
	told   *sync.Cond        // a watch has reported, or has left
	topics map[string]*topic // of every function that was ever on it
}

// A topic is what there is to tell of one function.
type topic struct {
	set     []Endpoint
	version uint64 // of set; 0 before the first one
	watches map[*boardWatch]struct{}
}

type boardWatch struct {
	wake chan struct{} // capacity one: there is something new
	told uint64        // the version it has reported
}

// NewBoard makes a Board with nothing on it.
func NewBoard() *Board {
	b := &Board{topics: map[string]*topic{}}
	b.told = sync.NewCond(&b.mu)
	return b
}

// Show makes what look returns the function's set, of which it takes no ownership,
// and returns when every watch has reported it, or a newer one. The same set again,
// in whatever order, is no news. look is called while no other is, so that of two
// that are shown at once the one stands that was seen last; it may not call b.
func (b *Board) Show(function string, look func() []Endpoint) {
	b.mu.Lock()
	defer b.mu.Unlock()
	set := slices.Clone(look())
	slices.SortFunc(set, func(a, b Endpoint) int {
		return cmp.Or(cmp.Compare(a.ID, b.ID), cmp.Compare(a.Addr, b.Addr))
	})
	t := b.topicLocked(function)
	if t.version == 0 || !slices.Equal(t.set, set) {
		t.set = set
		t.version++
		for w := range t.watches {
			select {
			case w.wake <- struct{}{}:
			default: // it will look anyway
			}
		}
	}
	version := t.version
	for w := range t.watches {
		for t.behind(w, version) {
			b.told.Wait()
		}
	}
}

func (t *topic) behind(w *boardWatch, version uint64) bool {
	_, here := t.watches[w]
	return here && w.told < version
}

func (b *Board) topicLocked(function string) *topic {
	t := b.topics[function]
	if t == nil {
		t = &topic{watches: map[*boardWatch]struct{}{}}
		b.topics[function] = t
	}
	return t
}

// Watch reports the function's sets, from the first one that is shown, until
// ctx ends. All reports come from the calling goroutine, one at a time; when
// several sets come at once, only the newest.
func (b *Board) Watch(ctx context.Context, function string, report func([]Endpoint)) {
	w := &boardWatch{wake: make(chan struct{}, 1)}
	t := b.join(function, w)
	defer b.leave(t, w)
	for {
		if set, version := b.look(t); version > w.told {
			report(set)
			b.heard(w, version)
		}
		select {
		case <-w.wake:
		case <-ctx.Done():
			return
		}
	}
}

func (b *Board) join(function string, w *boardWatch) *topic {
	b.mu.Lock()
	defer b.mu.Unlock()
	t := b.topicLocked(function)
	t.watches[w] = struct{}{}
	return t
}

func (b *Board) leave(t *topic, w *boardWatch) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(t.watches, w)
	b.told.Broadcast()
}

func (b *Board) look(t *topic) ([]Endpoint, uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(t.set), t.version
}

func (b *Board) heard(w *boardWatch, version uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	w.told = version
	b.told.Broadcast()
}
