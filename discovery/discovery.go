package discovery

import (
	"context"

	"github.com/weir-gateway/weir/config"
)

// An Endpoint is one address that serves one function.
type Endpoint struct {
	ID     string // stable for the life of the instance; its Link is kept under it
	Addr   string // host:port with a literal address, or unix:/path
	Region string
	Zone   string
	Node   string // the machine it is on, as its source calls it; "" if nobody says
	Rack   string
	Weight int // share among equals; 0 takes no new calls
	Slots  int // calls it can carry at once; 0 is no limit

	TLS  bool   // it speaks TLS
	Host string // with TLS, whose certificate it has to have: the name it was found by

	// Unproven is set on an instance that was reported before it listens. The
	// Keeper connects to it until it answers, and only then sends calls.
	Unproven bool
}

// A Provider knows who serves a function. The Keeper calls Watch once for each
// function, from a goroutine of that watch's own, and cancels it when the
// function goes or its own settings change.
type Provider interface {
	// String names the provider in logs and metrics.
	String() string

	// Watch reports the complete set of endpoints serving fn, which nobody changes,
	// soon and then after every change, until ctx ends. The slice passed to report belongs
	// to the receiver; report does not block and may be called from any
	// goroutine, but not after Watch returned. Being unable to reach the
	// source is not a change: Watch keeps silent and tries again. A provider
	// with nothing to say about fn reports an empty set once. Watch returns
	// only when ctx ends (nil) or when trying again is pointless (the reason).
	Watch(ctx context.Context, fn *config.Function, report func([]Endpoint)) error
}

// Nothing is the Watch of a provider that has nothing to say about a function.
func Nothing(ctx context.Context, report func([]Endpoint)) error {
	report(nil)
	<-ctx.Done()
	return nil
}

// A Fixed is a Provider that knows of some functions all that it will ever report
// of them: nobody has to wait for more.
type Fixed interface {
	// Fixed returns the set that Watch would report of fn once and never change;
	// ok is false if it may change. The slice belongs to the caller.
	Fixed(fn *config.Function) (set []Endpoint, ok bool)
}

// FixedSet is what p will ever report of fn, if p knows that. To wait for changes
// of 10,000 functions that do not change took 30,000 goroutines with 205 MiB of
// stacks (2026-11-26).
func FixedSet(p Provider, fn *config.Function) (set []Endpoint, ok bool) {
	if f, knows := p.(Fixed); knows {
		return f.Fixed(fn)
	}
	return nil, false
}
