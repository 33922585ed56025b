package dns

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/miekg/dns"

	"github.com/weir-gateway/weir/discovery"
)

// A name is one that is asked for, and what was answered. It belongs to one
// watch.
type name struct {
	ask     func(ctx context.Context, name string, kind uint16) (answer, error)
	host    string               // fully qualified
	port    string               // "": SRV records have theirs
	targets map[string]addresses // by host, as far as they are known
}

// addresses are those of a host, of each family as it was last answered.
type addresses struct {
	v4, v6 []netip.Addr // nil: never answered
}

// newName reads what stands behind dns: in a service.
func newName(service string, ask func(context.Context, string, uint16) (answer, error)) *name {
	n := &name{ask: ask, host: service, targets: map[string]addresses{}}
	if host, port, err := net.SplitHostPort(service); err == nil {
		n.host, n.port = host, port
	}
	n.host = dns.Fqdn(n.host)
	return n
}

// A finding is what a look at the name servers has come to.
type finding struct {
	set     []discovery.Endpoint // in the order of their IDs
	known   bool                 // else nothing could be found out
	ttl     time.Duration
	refused []string // what of the answer cannot be used, and why
	failed  error    // something could not be asked: what was known of it stands
}

// look asks for all there is to know now.
func (n *name) look(ctx context.Context) finding {
	if n.port != "" {
		return n.lookHost(ctx)
	}
	return n.lookServices(ctx)
}

// lookHost makes endpoints of the addresses of a host.
func (n *name) lookHost(ctx context.Context) finding {
	addrs, f := n.resolve(ctx, n.host)
	for _, addr := range addrs {
		f.add(net.JoinHostPort(addr.String(), n.port), 1)
	}
	return f.sorted()
}

// lookServices makes endpoints of SRV records.
func (n *name) lookServices(ctx context.Context) finding {
	got, err := n.ask(ctx, n.host, dns.TypeSRV)
	if err != nil {
		return finding{failed: err}
	}
	f := finding{known: true, ttl: got.ttl}
	records := f.usable(got.records)
	n.learn(got.extra, &f)
	heavy := slices.ContainsFunc(records, func(r *dns.SRV) bool { return r.Priority == records[0].Priority && r.Weight > 0 })
	here := map[string]bool{}
	for _, r := range records {
		target := dns.CanonicalName(r.Target)
		if !here[target] {
			here[target] = true
			n.find(ctx, target, got.extra, &f)
		}
		weight := int(r.Weight)
		switch {
		case r.Priority != records[0].Priority:
			weight = 0
		case !heavy: // no weights at all are equal ones
			weight = 1
		}
		addrs := n.targets[target].all()
		if len(addrs) == 0 {
			f.refuse("%s has no address", target)
		}
		for _, addr := range addrs {
			f.add(net.JoinHostPort(addr.String(), strconv.Itoa(int(r.Port))), weight)
		}
	}
	for target := range n.targets {
		if !here[target] {
			delete(n.targets, target)
		}
	}
	return f.sorted()
}

// usable are the SRV records that can be called, those of the best priority
// first.
func (f *finding) usable(records []dns.RR) (all []*dns.SRV) {
	for _, r := range records {
		srv, ok := r.(*dns.SRV)
		switch {
		case !ok: // a CNAME on the way, for one
		case srv.Target == ".": // decidedly not available (RFC 2782)
		case srv.Port == 0:
			f.refuse("%s has port 0", srv.Target)
		default:
			all = append(all, srv)
		}
	}
	slices.SortStableFunc(all, func(a, b *dns.SRV) int { return cmp.Compare(a.Priority, b.Priority) })
	return all
}

// learn takes over the addresses that came with an answer.
func (n *name) learn(extra []dns.RR, f *finding) {
	told := map[string]addresses{}
	for _, r := range extra {
		addr, ok := addressOf(r)
		if !ok {
			continue
		}
		host := dns.CanonicalName(r.Header().Name)
		a := told[host]
		if addr.Is4() {
			a.v4 = append(a.v4, addr)
		} else {
			a.v6 = append(a.v6, addr)
		}
		told[host] = a
		f.ttl = min(f.ttl, time.Duration(r.Header().Ttl)*time.Second)
	}
	for host, a := range told {
		n.targets[host] = a
	}
}

// find looks a target up unless the answer told its addresses already.
func (n *name) find(ctx context.Context, target string, extra []dns.RR, f *finding) {
	for _, r := range extra {
		if _, ok := addressOf(r); ok && dns.CanonicalName(r.Header().Name) == target {
			return
		}
	}
	_, found := n.resolve(ctx, target)
	if found.failed != nil {
		f.failed = found.failed
	} else {
		f.ttl = min(f.ttl, found.ttl)
	}
	f.refused = append(f.refused, found.refused...)
}

const forever = time.Duration(math.MaxInt64)

// resolve looks up the addresses of a host. A family that cannot be asked for
// keeps those it had.
func (n *name) resolve(ctx context.Context, host string) ([]netip.Addr, finding) {
	known := n.targets[host]
	var f finding
	here, gone := forever, forever // how long it holds who there is, and that there is nobody
	for _, family := range []struct {
		kind uint16
		last *[]netip.Addr
	}{{dns.TypeA, &known.v4}, {dns.TypeAAAA, &known.v6}} {
		got, err := n.ask(ctx, host, family.kind)
		if err != nil {
			f.failed = err
			continue
		}
		*family.last = []netip.Addr{}
		for _, r := range got.records {
			addr, ok := addressOf(r)
			switch {
			case !ok: // a CNAME on the way, for one
			case addr.IsUnspecified() || addr.IsMulticast():
				f.refuse("%s has the address %s, which nobody can have", host, addr)
			default:
				*family.last = append(*family.last, addr)
			}
		}
		if len(got.records) > 0 {
			here = min(here, got.ttl)
		} else {
			gone = min(gone, got.ttl)
		}
	}
	if f.ttl = here; here == forever {
		f.ttl = gone
	}
	n.targets[host] = known
	// Half an answer is enough if it names somebody.
	f.known = known.v4 != nil && known.v6 != nil || len(known.all()) > 0
	return known.all(), f
}

func (a addresses) all() []netip.Addr { return slices.Concat(a.v4, a.v6) }

func addressOf(r dns.RR) (addr netip.Addr, ok bool) {
	switch r := r.(type) {
	case *dns.A:
		addr, ok = netip.AddrFromSlice(r.A.To4())
	case *dns.AAAA:
		addr, ok = netip.AddrFromSlice(r.AAAA)
	}
	return addr, ok
}

func (f *finding) add(addr string, weight int) {
	f.set = append(f.set, discovery.Endpoint{ID: addr, Addr: addr, Weight: weight})
}

func (f *finding) refuse(format string, args ...any) {
	f.refused = append(f.refused, fmt.Sprintf(format, args...))
}

// sorted brings the endpoints into order, each once: the first that stands, of
// SRV records the one of the best priority.
func (f finding) sorted() finding {
	slices.SortStableFunc(f.set, func(a, b discovery.Endpoint) int { return strings.Compare(a.ID, b.ID) })
	f.set = slices.CompactFunc(f.set, func(a, b discovery.Endpoint) bool { return a.ID == b.ID })
	slices.Sort(f.refused)
	f.refused = slices.Compact(f.refused)
	return f
}
