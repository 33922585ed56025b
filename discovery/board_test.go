package discovery

import (
	"context"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestBoard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBoard()
		ctx, cancel := context.WithCancel(t.Context())
		early, late := &listener{}, &listener{}
		var work sync.WaitGroup
		work.Go(func() { b.Watch(ctx, "f", early.report) })
		early.want(t) // nothing is known: that is silence
		b.Show("f", the(nil))
		early.want(t, "")
		b.Show("f", the([]Endpoint{{Addr: "a"}}))
		b.Show("f", the([]Endpoint{{Addr: "a"}}))
		b.Show("g", the([]Endpoint{{Addr: "z"}}))
		early.want(t, "", "a")
		work.Go(func() { b.Watch(ctx, "f", late.report) })
		late.want(t, "a")
		b.Show("f", the([]Endpoint{{Addr: "b"}}))
		early.want(t, "", "a", "b")
		late.want(t, "a", "b")
		cancel()
		work.Wait()
		b.Show("f", the(nil)) // to nobody, and yet it is known
		ctx, cancel = context.WithCancel(t.Context())
		last := &listener{}
		work.Go(func() { b.Watch(ctx, "f", last.report) })
		last.want(t, "")
		cancel()
		work.Wait()
	})
}

// Show returns when it was told, so that what comes after it comes after it.
func TestShowWaitsForTheWatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBoard()
		ctx, cancel := context.WithCancel(t.Context())
		hold := make(chan struct{})
		var work sync.WaitGroup
		work.Go(func() { b.Watch(ctx, "f", func([]Endpoint) { <-hold }) })
		synctest.Wait()
		shown := false
		work.Go(func() { b.Show("f", the([]Endpoint{{Addr: "a"}})); shown = true })
		synctest.Wait()
		if shown {
			t.Error("shown before it was reported")
		}
		close(hold)
		synctest.Wait()
		if !shown {
			t.Error("reported, and Show does not return")
		}
		work.Go(func() { b.Watch(ctx, "g", func([]Endpoint) {}) })
		synctest.Wait()
		cancel()
		work.Wait()
	})
}

// Of those that show at once, the one that looked last is what stands.
func TestShowIsNotOvertaken(t *testing.T) {
	b := NewBoard()
	var mu sync.Mutex
	var is []Endpoint
	look := func() []Endpoint {
		mu.Lock()
		seen := slices.Clone(is)
		mu.Unlock()
		time.Sleep(time.Duration(3-len(seen)) * 5 * time.Millisecond) // so that the older look would be shown later
		return seen
	}
	var work sync.WaitGroup
	for _, addr := range []string{"a", "b", "c"} {
		work.Go(func() {
			mu.Lock()
			is = append(is, Endpoint{Addr: addr})
			mu.Unlock()
			b.Show("f", look)
		})
	}
	work.Wait()
	ctx, cancel := context.WithCancel(t.Context())
	b.Watch(ctx, "f", func(set []Endpoint) {
		if len(set) != 3 {
			t.Errorf("what stands is %v", set)
		}
		cancel()
	})
}

func the(set []Endpoint) func() []Endpoint { return func() []Endpoint { return set } }
