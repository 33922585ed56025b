package discovery

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
)

func TestBoard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBoard()
		ctx, cancel := context.WithCancel(t.Context())
		early, late := &listener{}, &listener{}
		var work sync.WaitGroup
		work.Go(func() { b.Watch(ctx, "f", early.report) })
		early.want(t) // nothing is known: that is silence
		b.Show("f", nil)
		early.want(t, "")
		b.Show("f", []Endpoint{{Addr: "a"}})
		b.Show("f", []Endpoint{{Addr: "a"}})
		b.Show("g", []Endpoint{{Addr: "z"}})
		early.want(t, "", "a")
		work.Go(func() { b.Watch(ctx, "f", late.report) })
		late.want(t, "a")
		b.Show("f", []Endpoint{{Addr: "b"}})
		early.want(t, "", "a", "b")
		late.want(t, "a", "b")
		cancel()
		work.Wait()
		b.Show("f", nil) // to nobody, and yet it is known
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
		work.Go(func() { b.Show("f", []Endpoint{{Addr: "a"}}); shown = true })
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
