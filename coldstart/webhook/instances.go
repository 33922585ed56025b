package webhook

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"net"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/weir-gateway/weir/coldstart"
	"github.com/weir-gateway/weir/discovery"
)

// A function is what is known of one function's instances.
type function struct {
	name     string
	turn     chan struct{} // has one in it while a request is under way
	expected chan struct{} // capacity one: instances are expected now
	key      string        // of the last request that was no list; whose turn it is has it
	body     []byte        // and what it said

	// Guarded by Platform.mu.
	known    []instance
	slots    int
	want     int                  // instances that are expected,
	wanted   time.Time            // since when,
	until    time.Time            // and until when it makes sense to look for them
	lowering bool                 // a request for fewer is under way: who goes now was asked to
	buried   []string             // ids whose end was told, as long as the platform repeats it
	missed   map[string]time.Time // when those were told that were not listed any more: why, may yet be said
}

// An instance is one as far as weir knows it.
type instance struct {
	id, addr string
	place    coldstart.Place
	since    time.Time // when it was first heard of, or asked for
	here     time.Time // when it announced itself; zero if it did not
	listed   bool      // the platform has confirmed it
	proven   bool      // it has accepted a connection
}

// endpoint is the id of its endpoint: one that has moved is another.
func (in instance) endpoint() string {
	if in.id == in.addr {
		return in.addr
	}
	return in.id + "@" + in.addr
}

// unlisted is how long an instance that has announced itself may be missing in
// what the platform lists: the list may be older than the announcement.
const unlisted = 15 * time.Second

// begin waits for its turn: one request at a time for each function.
func (f *function) begin(ctx context.Context) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	select {
	case f.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (f *function) end() { <-f.turn }

// await notes that n instances are expected to come.
func (p *Platform) await(f *function, n int, patience time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f.want, f.wanted = n, time.Now()
	f.until = f.wanted.Add(patience)
	select {
	case f.expected <- struct{}{}:
	default:
	}
}

func (p *Platform) limiting(f *function, yes bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f.lowering = yes
}

// again is when to ask the platform next; 0 is not before something happens.
// While instances are expected, a twentieth of the wait so far, at least 50 ms
// and at most 1 s.
func (p *Platform) again(f *function) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	switch {
	case len(f.known) < f.want && now.Before(f.until):
		return min(max(now.Sub(f.wanted)/20, 50*time.Millisecond), time.Second)
	case len(f.known) > 0:
		return p.settings.Load().Refresh
	}
	return 0
}

// A purpose says what an answer is the answer to.
type purpose struct {
	ensure, limit bool
	n             int
}

func ensured(n int) purpose { return purpose{ensure: true, n: n} }
func limited(n int) purpose { return purpose{limit: true, n: n} }

var listed = purpose{}

// learn takes over what an answer says of instances. Those that are gone, or
// have failed, leave the set and then are told; of a start it is the caller who
// hears it.
func (p *Platform) learn(f *function, ans answer, why purpose) error {
	fine, failed, bad := p.sort(f, ans)
	p.mu.Lock()
	before := f.known
	switch {
	case ans.Instances != nil:
		most := math.MaxInt
		if why.limit {
			most = why.n
		}
		f.known = merge(before, fine, f.wanted, most)
	case why.limit:
		f.known = slices.Clone(before[:min(why.n, len(before))])
	}
	ends := p.endsLocked(f, before, failed, why)
	living := len(f.known)
	p.mu.Unlock()
	p.show(f)
	if why.ensure && living < why.n {
		switch {
		case len(failed) > 0:
			return failed[0].err(f.name)
		case len(bad) > 0 && living == 0:
			return fmt.Errorf("function %q: the platform's answer has no instance in it that makes sense: %w", f.name, bad[0])
		}
	}
	for _, end := range ends {
		p.tell(f.name, end.since, end.err)
	}
	return nil
}

// sort takes the entries of an answer apart. What makes no sense is said once.
func (p *Platform) sort(f *function, ans answer) (fine []instance, failed []told, bad []error) {
	ids, addrs := map[string]bool{}, map[string]bool{}
	for _, t := range ans.Instances {
		t.ID, t.Failed = printable(t.ID), printable(t.Failed)
		if t.Failed != "" {
			failed = append(failed, t)
			continue
		}
		addr, err := address(t.Address)
		if t.ID == "" {
			t.ID = addr
		}
		switch {
		case err != nil:
			bad = append(bad, err)
		case ids[t.ID] || addrs[addr]:
			bad = append(bad, fmt.Errorf("%s at %s is listed twice", t.ID, addr))
		default:
			ids[t.ID], addrs[addr] = true, true
			fine = append(fine, instance{id: t.ID, addr: addr, place: t.place(), listed: true})
		}
	}
	if len(bad) > 0 {
		p.log.Warn("the platform lists what makes no sense", "function", f.name, "error", errors.Join(bad...).Error())
	}
	return fine, failed, bad
}

// merge is the set after the platform has listed what it has, in its order. One
// that the list may be too old for stays, if there are no more than most with it.
func merge(before, listed []instance, wanted time.Time, most int) []instance {
	now := time.Now()
	next := slices.Clone(listed)
	for i, in := range next {
		next[i].since = wanted
		if wanted.IsZero() {
			next[i].since = now
		}
		if j := find(before, in); j >= 0 {
			place := in.place
			next[i] = before[j]
			next[i].listed = true
			if place != (coldstart.Place{}) {
				next[i].place = place
			}
		}
	}
	for _, in := range before {
		if len(next) < most && !in.listed && now.Sub(in.here) < unlisted && find(next, in) < 0 && !taken(next, in) {
			next = append(next, in)
		}
	}
	return next
}

// validPlace is what can stand in a label.
var validPlace = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$`)

// place is where the platform says that the instance is.
func (t told) place() coldstart.Place {
	valid := func(said string) string {
		if validPlace.MatchString(said) {
			return said
		}
		return ""
	}
	return coldstart.Place{Zone: valid(t.Zone), Rack: valid(t.Rack), Node: valid(t.Node)}
}

// find looks for the same instance: id and address.
func find(all []instance, in instance) int {
	return slices.IndexFunc(all, func(o instance) bool { return o.id == in.id && o.addr == in.addr })
}

// taken tells whether the id or the address is another's.
func taken(all []instance, in instance) bool {
	return slices.ContainsFunc(all, func(o instance) bool { return o.id == in.id || o.addr == in.addr })
}

// An end is an instance that is over, unasked.
type end struct {
	since time.Time
	err   error
}

// endsLocked are the ends to tell: of those that failed, each once, and of those
// that are not there any more although nobody asked.
func (p *Platform) endsLocked(f *function, before []instance, failed []told, why purpose) (ends []end) {
	buried := f.buried
	f.buried = nil
	now := time.Now()
	maps.DeleteFunc(f.missed, func(_ string, told time.Time) bool { return now.Sub(told) > unlisted })
	for _, t := range failed {
		f.bury(t.ID)
		if i := slices.IndexFunc(before, func(in instance) bool { return in.id == t.ID }); i >= 0 {
			ends = append(ends, end{before[i].since, t.err(f.name)})
			before = slices.Delete(slices.Clone(before), i, i+1)
		} else if !slices.Contains(buried, t.ID) && !f.wasMissed(t.ID) && !why.limit && !f.wanted.IsZero() {
			ends = append(ends, end{f.wanted, t.err(f.name)})
		}
	}
	for _, in := range before {
		if find(f.known, in) < 0 && !f.lowering {
			ends = append(ends, end{in.since, fmt.Errorf("instance %s of %q has gone without being asked to", in.id, f.name)})
			if f.missed == nil {
				f.missed = map[string]time.Time{}
			}
			f.missed[in.id] = now
		}
	}
	return ends
}

// wasMissed tells whether the end of an instance was told already because it was not
// listed any more: it is one end, though why it came is said later.
func (f *function) wasMissed(id string) bool {
	_, was := f.missed[id]
	delete(f.missed, id)
	return was
}

// bury notes whose end was told. Of a platform that lists nothing the last ones
// will do.
func (f *function) bury(id string) {
	const most = 100
	f.buried = append(f.buried, id)
	f.buried = f.buried[max(len(f.buried)-most, 0):]
}

func (t told) err(function string) error {
	err := fmt.Errorf("instance %s of %q: %s", t.ID, function, t.Failed)
	if t.Terminal {
		return coldstart.Terminal(err)
	}
	return err
}

func (p *Platform) tell(function string, since time.Time, err error) {
	p.log.Info("instance ended", "function", function, "error", err.Error())
	p.mu.Lock()
	tell := p.failed
	p.mu.Unlock()
	if tell != nil {
		tell(function, since, err)
	}
}

// show puts what is known on the board, and returns when it was told.
func (p *Platform) show(f *function) {
	p.board.Show(f.name, func() []discovery.Endpoint { return p.setOf(f) })
}

func (p *Platform) setOf(f *function) []discovery.Endpoint {
	p.mu.Lock()
	defer p.mu.Unlock()
	set := make([]discovery.Endpoint, len(f.known))
	for i, in := range f.known {
		set[i] = discovery.Endpoint{
			ID: in.endpoint(), Addr: in.addr, Zone: in.place.Zone, Rack: in.place.Rack, Node: in.place.Node,
			Weight: 1, Slots: f.slots, Unproven: !in.proven,
		}
	}
	return set
}

// address reads where an instance is: host:port with a literal address.
func address(s string) (string, error) {
	host, port, err := net.SplitHostPort(strings.TrimPrefix(s, "http://"))
	if err != nil {
		return "", fmt.Errorf("%q is not host:port", printable(s))
	}
	ip, err := netip.ParseAddr(host)
	if err != nil {
		return "", fmt.Errorf("%q has no literal address", printable(s))
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 || ip.IsUnspecified() || ip.IsMulticast() {
		return "", fmt.Errorf("nobody can be called at %q", printable(s))
	}
	return netip.AddrPortFrom(ip, uint16(n)).String(), nil
}
