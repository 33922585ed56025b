package discovery

import (
	"context"
	"sync"

	"github.com/weir-gateway/weir/config"
)

// A Swap is the Provider that another one is, which can be exchanged while it
// is watched: what was reported stands until the new one speaks. Its methods
// may be called from any goroutine.
type Swap struct {
	mu      sync.Mutex // guards all below
	now     Provider
	ctx     context.Context // ends when now is exchanged
	retired context.CancelFunc
	watches sync.WaitGroup // of now
}

// NewSwap makes a Swap that is p at first.
func NewSwap(p Provider) *Swap {
	s := &Swap{now: p}
	s.ctx, s.retired = context.WithCancel(context.Background())
	return s
}

// Use makes p the one, and returns when nobody watches the last one any more.
func (s *Swap) Use(p Provider) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.retired()
	s.watches.Wait()
	s.now = p
	s.ctx, s.retired = context.WithCancel(context.Background())
}

// String names the provider.
func (s *Swap) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now.String()
}

// Watch watches with the one that there is.
func (s *Swap) Watch(ctx context.Context, fn *config.Function, report func([]Endpoint)) error {
	for {
		s.mu.Lock()
		p, era := s.now, s.ctx
		s.watches.Add(1)
		s.mu.Unlock()
		err := watchWithin(ctx, era, p, fn, report)
		s.watches.Done()
		if ctx.Err() != nil {
			return nil
		}
		if era.Err() == nil {
			return err
		}
	}
}

// watchWithin watches until ctx or the era of the provider ends.
func watchWithin(ctx, era context.Context, p Provider, fn *config.Function, report func([]Endpoint)) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(era, cancel)()
	return p.Watch(ctx, fn, report)
}
