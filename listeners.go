package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/weir-gateway/weir/config"
	"github.com/weir-gateway/weir/proxy/http1"
)

// A listening is an address on which weir takes calls.
type listening struct {
	*http1.Server
	address string // as the configuration has it
	at      string // what that has come to
}

// open begins to listen on every address, and returns what they have come to.
func (g *gateway) open(work *errgroup.Group) (addresses []string, err error) {
	open := func(cfg *config.Config) { // that stands; no other is taken over meanwhile
		g.mu.Lock()
		defer g.mu.Unlock()
		g.work = work
		var apply func()
		if apply, err = g.prepareListenersLocked(cfg); err != nil {
			return
		}
		apply()
		for _, l := range g.listening {
			addresses = append(addresses, l.at)
		}
	}
	if g.options.layers != nil {
		g.options.layers.Still(open)
	} else {
		open(g.cfg)
	}
	return addresses, err
}

// prepareListenersLocked opens the addresses that a configuration has more than
// there are. With apply, for which g.mu is held too, those that stay have their
// new settings, and those that it does not have finish their calls.
func (g *gateway) prepareListenersLocked(cfg *config.Config) (apply func(), err error) {
	if g.work == nil || g.leaving {
		return func() {}, nil // open comes to it yet, or it is all over
	}
	next, opened := make([]listening, len(cfg.Listeners)), map[int]net.Listener{}
	drop := func() {
		for _, ln := range opened {
			_ = ln.Close()
		}
	}
	leave := slices.Clone(g.listening)
	for i, l := range cfg.Listeners {
		if at := slices.IndexFunc(leave, func(have listening) bool { return have.address == l.Address }); at >= 0 {
			next[i] = leave[at]
			leave = slices.Delete(leave, at, at+1)
		} else if opened[i], err = listen(l.Address); err != nil {
			delete(opened, i)
			drop()
			return nil, fmt.Errorf("listeners[%d].address: %w", i, err)
		}
	}
	return func() {
		if g.leaving {
			drop()
			return
		}
		first := len(g.listening) == 0
		for i, l := range cfg.Listeners {
			ln := opened[i]
			if ln == nil {
				next[i].Configure(l, cfg.Defaults.Timeouts.Idle)
				continue
			}
			server := http1.NewServer(l, cfg.Defaults.Timeouts.Idle, g.proxy, g.watcher, g.log)
			next[i] = listening{server, l.Address, ln.Addr().String()}
			// When the routes that come with it are there. Until then the kernel keeps
			// whoever connects.
			g.keeper.After(func() { g.work.Go(func() error { return server.Serve(ln) }) })
			if !first {
				g.log.Info("listening", "listener", l.Name, "address", next[i].at)
			}
		}
		for _, l := range leave {
			g.finishing = append(g.finishing, l)
			g.work.Go(func() error { g.finish(l, cfg.Shutdown); return nil })
		}
		g.listening = next
	}, nil
}

// finish lets the calls end that came over a listener that is no longer
// configured, as long as they might at weir's own end.
func (g *gateway) finish(l listening, settings config.Shutdown) {
	g.log.Info("no longer listening", "listener", l.Name(), "address", l.at, "open", l.Open(), "grace_ms", settings.Grace.Milliseconds())
	ctx, cancel := context.WithTimeout(context.Background(), settings.Grace)
	defer cancel()
	if err := l.Drain(ctx); err != nil {
		g.log.Warn("calls were cut off", "listener", l.Name(), "error", err.Error())
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.finishing = slices.DeleteFunc(g.finishing, func(one listening) bool { return one.Server == l.Server })
}

// leave tells that no listener is opened from now on, and returns all that have
// calls.
func (g *gateway) leave() []listening {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.leaving = true
	return slices.Concat(g.listening, g.finishing)
}

// errListen wraps why an address cannot be listened on.
var errListen = errors.New("cannot listen")

func listen(address string) (net.Listener, error) {
	ln, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("%w on %s: %w", errListen, address, errors.Unwrap(err))
	}
	return ln, nil
}
