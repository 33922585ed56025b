package discovery

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/weir-gateway/weir/config"
)

// firstWords is how long Merge waits at first for all its providers to speak,
// so that it does not begin with half a set.
const firstWords = time.Second

// Merge is the Provider that reports what all of its providers report. Their
// endpoint ids must differ.
func Merge(providers ...Provider) Provider { return merged(providers) }

type merged []Provider

// String names the providers.
func (m merged) String() string {
	names := make([]string, len(m))
	for i, p := range m {
		names[i] = p.String()
	}
	return strings.Join(names, "+")
}

// Watch watches with every provider.
func (m merged) Watch(ctx context.Context, fn config.Function, report func([]Endpoint)) error {
	if len(m) == 1 {
		return m[0].Watch(ctx, fn, report)
	}
	var (
		mu     sync.Mutex // guards all below, and keeps reports in order
		said   = make([][]Endpoint, len(m))
		spoken = make([]bool, len(m))
		late   bool
		work   sync.WaitGroup
		first  error
	)
	tell := func() { // with mu held
		if late || !slices.Contains(spoken, false) {
			report(slices.Concat(said...))
		}
	}
	timer := time.AfterFunc(firstWords, func() {
		mu.Lock()
		defer mu.Unlock()
		late = true
		if ctx.Err() == nil && slices.Contains(spoken, true) && slices.Contains(spoken, false) {
			tell()
		}
	})
	defer timer.Stop()
	for i, p := range m {
		work.Go(func() {
			err := p.Watch(ctx, fn, func(endpoints []Endpoint) {
				mu.Lock()
				defer mu.Unlock()
				said[i], spoken[i] = endpoints, true
				tell()
			})
			mu.Lock()
			defer mu.Unlock()
			if err != nil && first == nil {
				first = err // the others go on
			}
		})
	}
	work.Wait()
	return first
}
