package discovery

import (
	"context"
	"log/slog"
	"net"
	"net/netip"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/weir-gateway/weir/config"
)

// unlistedAfter is how long a router may be missing from the list of routers
// before that is said: an operator's registration, and the first health check,
// come after weir listens.
const unlistedAfter = time.Minute

// A Router is one weir among those that share limits.
type Router struct {
	Address string // as its source has it; "" for this one if nobody lists it
	Self    bool
}

// String is how it is called in the log.
func (r Router) String() string {
	switch {
	case r.Address == "":
		return "this one, unlisted"
	case r.Self:
		return r.Address + ", this one"
	}
	return r.Address
}

// Peers finds out which routers there are. Who has been found stands until a
// source says otherwise: one that is away does not make a router forget the
// others. Its methods may be called from any goroutine.
type Peers struct {
	static, registry Provider
	tell             func([]Router)
	log              *slog.Logger
	interfaces       func() ([]net.Addr, error)

	heard chan struct{} // closed when it is known for the first time who there is

	mu       sync.Mutex // guards all below
	cfg      *config.Peers
	listens  []string
	era      context.Context // ends when these change
	end      context.CancelFunc
	routers  []Router
	known    bool
	unlisted *time.Timer // runs while this router is not on the list; nil otherwise
}

// NewPeers makes a Peers for settings, nil if there are no peers. static knows
// addresses, registry services; listens are the addresses that this router listens
// on. tell is told the routers by their addresses, this one always among them: at
// first and after every change, one at a time; none if there are no peers.
func NewPeers(cfg *config.Peers, static, registry Provider, listens []string, tell func([]Router), log *slog.Logger) *Peers {
	p := &Peers{static: static, registry: registry, tell: tell, log: log, interfaces: net.InterfaceAddrs, heard: make(chan struct{}), cfg: cfg, listens: listens}
	p.era, p.end = context.WithCancel(context.Background())
	return p
}

// Heard is closed when it is known who there is.
func (p *Peers) Heard() <-chan struct{} { return p.heard }

// Routers are those that there are now, by their addresses; none if there are no
// peers, or nobody has said who they are.
func (p *Peers) Routers() []Router {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.routers)
}

// Use takes over newer settings, and where this router listens by now.
func (p *Peers) Use(cfg *config.Peers, listens []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if reflect.DeepEqual(p.cfg, cfg) && slices.Equal(p.listens, listens) {
		return
	}
	p.end()
	p.cfg, p.listens = cfg, listens
	p.era, p.end = context.WithCancel(context.Background())
}

// Run watches until ctx ends.
func (p *Peers) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		p.mu.Lock()
		cfg, listens, era := p.cfg, p.listens, p.era
		p.mu.Unlock()
		if err := p.watch(ctx, era, cfg, listens); err != nil && ctx.Err() == nil && era.Err() == nil {
			p.log.Error("watch ended", "function", "_peers", "error", err.Error())
		}
		select {
		case <-ctx.Done():
		case <-era.Done():
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.listedLocked(true)
	return nil
}

func (p *Peers) watch(ctx, era context.Context, cfg *config.Peers, listens []string) error {
	if cfg == nil {
		p.found(era, nil, "there is no block peers in the configuration")
		return nil
	}
	var from []Provider // not those that would say at once that they know nobody
	if len(cfg.Addresses) > 0 {
		from = append(from, p.static)
	}
	if cfg.Service != "" {
		from = append(from, p.registry)
	}
	cause := "service " + cfg.Service
	if cfg.Service == "" {
		cause = "addresses"
	}
	fn := cfg.Function()
	return watchWithin(ctx, era, Merge(from...), &fn, func(set []Endpoint) {
		p.found(era, routersOf(set, p.owns(cfg.Self, listens)), cause)
	})
}

// found takes over who there is, unless the settings have changed meanwhile.
func (p *Peers) found(era context.Context, routers []Router, cause string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if era.Err() != nil || p.known && slices.Equal(routers, p.routers) {
		return
	}
	before := p.routers
	p.routers = routers
	p.tell(slices.Clone(routers))
	if before != nil || routers != nil {
		p.log.Info("routers", "now", max(1, len(routers)), "before", max(1, len(before)),
			"joined", missing(routers, before), "left", missing(before, routers), "cause", cause)
	}
	if !p.known {
		p.known = true
		close(p.heard)
	}
	p.listedLocked(!slices.Contains(routers, Router{Self: true}))
}

// listedLocked has it said if this router stays off the list.
func (p *Peers) listedLocked(listed bool) {
	switch {
	case listed && p.unlisted != nil:
		p.unlisted.Stop()
		p.unlisted = nil
	case !listed && p.unlisted == nil:
		p.unlisted = time.AfterFunc(unlistedAfter, func() {
			p.log.Warn("this router is not among those that it finds: it counts itself beside them, and if it is there under another address, shared limits come out too low",
				"listens", p.listens, "remedy", "register this router, or say its address in peers.self")
		})
	}
}

// missing are the addresses of those in a who are not in b.
func missing(a, b []Router) []string {
	out := []string{}
	for _, r := range a {
		if !slices.Contains(b, r) {
			out = append(out, r.String())
		}
	}
	return out
}

// routersOf are those that endpoints stand for, by their addresses. Whoever takes
// no calls needs no part of a limit.
func routersOf(set []Endpoint, owns func(address string) bool) (routers []Router) {
	listed := false
	for _, ep := range set {
		if ep.Weight > 0 && !ep.Unproven {
			own := owns(ep.Addr)
			listed = listed || own
			routers = append(routers, Router{ep.Addr, own})
		}
	}
	slices.SortFunc(routers, func(a, b Router) int { return strings.Compare(a.Address, b.Address) })
	routers = slices.Compact(routers)
	if !listed {
		routers = append(routers, Router{Self: true})
	}
	return routers
}

// owns returns what tells whether an address is this router's.
func (p *Peers) owns(self string, listens []string) func(address string) bool {
	if own, err := netip.ParseAddrPort(self); err == nil {
		own = unmapped(own)
		return func(address string) bool {
			at, err := netip.ParseAddrPort(address)
			return err == nil && unmapped(at) == own
		}
	}
	machine, err := p.interfaces()
	if err != nil {
		p.log.Warn("cannot find out this machine's addresses; say peers.self", "error", err.Error())
	}
	here := func(ip netip.Addr) bool {
		return ip.IsLoopback() || slices.ContainsFunc(machine, func(a net.Addr) bool {
			prefix, err := netip.ParsePrefix(a.String())
			return err == nil && prefix.Addr().Unmap() == ip.WithZone("")
		})
	}
	return func(address string) bool {
		at, err := netip.ParseAddrPort(address)
		return err == nil && slices.ContainsFunc(listens, func(listen string) bool { return reaches(listen, unmapped(at), here) })
	}
}

// reaches tells whether whoever connects to an address comes to a listener.
func reaches(listen string, at netip.AddrPort, here func(netip.Addr) bool) bool {
	host, port, err := net.SplitHostPort(listen)
	if err != nil || port != strconv.Itoa(int(at.Port())) {
		return false
	}
	if ip, err := netip.ParseAddr(host); err == nil && !ip.IsUnspecified() {
		return ip.Unmap() == at.Addr()
	}
	return here(at.Addr())
}

func unmapped(at netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(at.Addr().Unmap(), at.Port())
}
