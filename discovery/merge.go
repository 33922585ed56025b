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

// Fixed returns what all providers will ever report, if all of them know.
func (m merged) Fixed(fn *config.Function) (set []Endpoint, ok bool) {
	for _, p := range m {
		more, ok := FixedSet(p, fn)
		if !ok {
			return nil, false
		}
		if set == nil {
			set = more
		} else {
			set = append(set, more...)
		}
	}
	return set, true
}

// Watch watches with every provider whose set may change.
func (m merged) Watch(ctx context.Context, fn *config.Function, report func([]Endpoint)) error {
	var (
		changing []Provider
		fixed    []Endpoint
	)
	for _, p := range m {
		if set, ok := FixedSet(p, fn); ok {
			fixed = append(fixed, set...)
		} else {
			changing = append(changing, p)
		}
	}
	switch {
	case len(changing) == 0:
		return Nothing(ctx, func([]Endpoint) { report(fixed) })
	case len(m) == 1:
		return m[0].Watch(ctx, fn, report)
	}
	return watchAll(ctx, changing, fn, report, fixed, len(changing) < len(m))
}

// watchAll reports what all say, behind what is fixed; known tells that something
// is, be it that there is nobody.
func watchAll(ctx context.Context, m []Provider, fn *config.Function, report func([]Endpoint), fixed []Endpoint, known bool) error {
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
			if len(m) == 1 && len(fixed) == 0 { // nothing to keep it for
				report(said[0])
				said[0] = nil
				return
			}
			report(slices.Concat(fixed, slices.Concat(said...)))
		}
	}
	timer := time.AfterFunc(firstWords, func() {
		mu.Lock()
		defer mu.Unlock()
		late = true
		if ctx.Err() == nil && (known || slices.Contains(spoken, true)) && slices.Contains(spoken, false) {
			tell()
		}
	})
	defer timer.Stop()
	watch := func(i int) {
		err := m[i].Watch(ctx, fn, func(endpoints []Endpoint) {
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
	}
	for i := range m[1:] {
		work.Go(func() { watch(1 + i) })
	}
	watch(0) // here: ten thousand functions have a goroutine less each
	work.Wait()
	return first
}
