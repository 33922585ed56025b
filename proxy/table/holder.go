package table

import (
	"cmp"
	"slices"
	"time"

	"github.com/weir-gateway/weir/discovery"
)

// Of a function that says so (cold_start.placement: one_router), one of the routers
// among peers holds the instance: the others hand it their calls, as long as these are
// few, and start none of their own.
//
// Who holds it is found by rendezvous hashing (Thaler and Ravishankar, "A Name-Based
// Mapping Scheme for Rendezvous", 1996): of all routers the one whose address gives
// the greatest number together with the function's name. So all of them agree without a
// word, and when one comes or goes only the functions move that it has or had.

// A Router is one weir among peers.
type Router struct {
	Address string // of a listener of its own; "" for this one if nobody lists it
	Self    bool
}

// usualHanded is how many calls at once one instance without a limit
// (cold_start.concurrency) is taken to have from another router: with more the function
// is worth an instance there.
const usualHanded = 10

// restFor is how long a router that could not be connected to is handed no call.
const restFor = 2 * time.Second

// Routers hands in which routers there are, this one among them. The newest ones count;
// it never blocks.
func (k *Keeper) Routers(all []Router) {
	k.inbox.put(func() { k.inbox.routers = append([]Router{}, all...) })
}

// Alone says that nobody has said in time which routers there are: until somebody does,
// this one holds every function. It never blocks.
func (k *Keeper) Alone() {
	k.inbox.put(func() { k.inbox.alone = true })
}

// meet takes over which routers there are.
func (k *Keeper) meet(all []Router) {
	k.routers = all
	links := map[string]*Endpoint{}
	for _, r := range all {
		if r.Self {
			continue
		}
		if links[r.Address] = k.others[r.Address]; links[r.Address] == nil {
			links[r.Address] = k.newRouter(r.Address)
		}
	}
	for address, left := range k.others {
		if links[address] == nil {
			left.Conns.CloseIdle() // calls that it has go on
		}
	}
	k.others = links
	if tab := k.Table(); tab != nil { // else settle will
		for _, fn := range tab.Functions {
			k.place(fn)
		}
	}
}

// newRouter makes the endpoint that another router is: one for all functions, so that
// its connections are common to them.
func (k *Keeper) newRouter(address string) *Endpoint {
	link := &Link{Conns: k.newTransport(address)}
	link.doubt = func() { time.AfterFunc(restFor, func() { link.doubted.Store(false) }) }
	return &Endpoint{Link: link, Endpoint: discovery.Endpoint{ID: "router " + address, Addr: address, Weight: 1}}
}

// place finds out who holds a function. Until it is known for the first time who there
// is nobody else does, though what runs without a call waits for that.
func (k *Keeper) place(fn *Function) {
	one := fn.ColdStart.Placement == "one_router"
	if fn.Start == nil || !one && fn.holders.Load() == nil { // nearly all
		return
	}
	var before []*Endpoint
	known := true
	if one {
		before, known = k.before(fn.Name), k.routers != nil
	}
	fn.handed.SetLimit(cmp.Or(fn.ColdStart.Concurrency, usualHanded))
	fn.holders.Store(&before)
	fn.Start.Elsewhere(len(before) > 0 || !known)
}

// before are the routers that come before this one for a function, the holder first.
func (k *Keeper) before(function string) (others []*Endpoint) {
	for _, r := range order(function, k.routers) {
		if r.Self {
			break
		}
		others = append(others, k.others[r.Address])
	}
	return others
}

// order has routers in the order in which they hold a function: if the first one is
// not there, the second one does. One that nobody lists comes last, for the others do
// not know it.
func order(function string, routers []Router) []Router {
	name := hash([]byte(function))
	number := func(r Router) uint64 { return mix(name ^ mix(hash([]byte(r.Address)))) }
	ordered := slices.Clone(routers)
	slices.SortFunc(ordered, func(a, b Router) int {
		if a.Address == "" || b.Address == "" {
			return cmp.Compare(b.Address, a.Address)
		}
		return cmp.Or(cmp.Compare(number(b), number(a)), cmp.Compare(a.Address, b.Address))
	})
	return ordered
}

// Holders are the routers that hold the function rather than this one does, the first
// one first; none if this one does. It costs an atomic load.
func (s *State) Holders() []*Endpoint {
	if before := s.holders.Load(); before != nil {
		return *before
	}
	return nil
}

// HandOver takes one of the places that calls have which are handed to another router,
// if one is free.
func (s *State) HandOver() bool { return s.handed.Take() }

// HandedBack frees it.
func (s *State) HandedBack() { s.handed.GiveBack() }

// Handed tells how many calls are with another router, and how many may be.
func (s *State) Handed() (now, most int) { return s.handed.InFlight(), s.handed.Limit() }
