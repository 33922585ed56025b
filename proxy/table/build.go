package table

import (
	"fmt"
	"maps"
	"net/textproto"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/weir-gateway/weir/coldstart"
	"github.com/weir-gateway/weir/config"
	"github.com/weir-gateway/weir/proxy/message"
	"github.com/weir-gateway/weir/shaping"
	"github.com/weir-gateway/weir/shaping/geo"
)

// build makes the table for a configuration and carries over the State of the
// functions that stay. It starts nothing and changes nothing that prev shows:
// what must follow is settle's.
func (k *Keeper) build(prev *Table, cfg *config.Config) *Table {
	t := &Table{
		Config:    cfg,
		Functions: make(map[string]*Function, len(cfg.Functions)),
	}
	if prev == nil {
		t.Version = 1
		t.Unrouted = &Function{Function: config.Function{Name: Unrouted}, State: k.newState(Unrouted)}
	} else {
		t.Version = prev.Version + 1
		t.Unrouted = prev.Unrouted
	}
	k.locate(t, prev)
	for _, r := range cfg.Refused {
		t.Refused = append(t.Refused, Refusal{r.What, r.Reason})
	}
	changed, ok := prev.changed(cfg)
	if ok && len(changed) == 0 {
		t.Functions, t.routes, t.unrouted = prev.Functions, prev.routes, prev.unrouted
		t.refuse(t.unrouted)
		return t
	}
	if ok {
		t.Functions = maps.Clone(prev.Functions)
		for _, name := range changed {
			delete(t.Functions, name)
			k.enter(t, prev, name)
		}
		t.routes, ok = prev.routes.withOthers(prev.Functions, t.Functions, changed)
		t.unrouted = prev.unrouted
	} else {
		for name := range cfg.Functions {
			k.enter(t, prev, name)
		}
	}
	if !ok {
		t.routes, t.unrouted = buildRouter(cfg, t.Functions)
	}
	t.refuse(t.unrouted)
	return t
}

// refuse adds to what the table does without.
func (t *Table) refuse(more []Refusal) {
	t.Refused = append(t.Refused, more...)
	slices.SortFunc(t.Refused, func(a, b Refusal) int { return strings.Compare(a.What, b.What) })
}

// changed names the functions of a configuration that may differ from the table's;
// ok is false if that may be all.
func (t *Table) changed(cfg *config.Config) (names []string, ok bool) {
	if t == nil || len(t.Functions) < len(t.Config.Functions) { // those that were refused may be had now
		return nil, false
	}
	return cfg.ChangedSince(t.Config)
}

// enter has a function of the configuration in the table: the one that was, if
// nothing of it has changed.
func (k *Keeper) enter(t, prev *Table, name string) {
	fn := *t.Config.Functions[name]
	fn.Regions, fn.Spread = nil, nil // the Set goes by them, and they change for ten thousand functions at once
	state, err := k.stateOf(t.Config, prev, fn)
	if err != nil {
		t.Refused = append(t.Refused, Refusal{"function " + name, err.Error()})
		return
	}
	if was := prev.function(name); was != nil && was.State == state && reflect.DeepEqual(was.Function, fn) {
		t.Functions[name] = was
		return
	}
	t.Functions[name] = &Function{
		hashBy:   hashBy{fieldName(fn.LoadBalancing.HashHeader()), bytesOf(fn.LoadBalancing.HashCookie())},
		Function: fn, State: state,
		OwnDeadline: message.Lookup([]byte(fn.Deadline.Header)) == message.Other,
		Retry:       shaping.NewRetries(fn.Retries),
		Sameness:    newSameness(&fn),
	}
	if fn.Hedging != nil {
		t.Functions[name].HedgeAfter, t.Functions[name].HedgeShare = fn.Hedging.When()
	}
	if adaptive := fn.Concurrency.Adaptive; adaptive != nil {
		if state.adaptive == nil {
			state.adaptive = shaping.NewAdaptive(firstLimit, adaptive.MinRequests, greatestLimit(fn.Concurrency))
		}
		t.Functions[name].Adaptive = state.adaptive
	}
	if fn.Concurrency.MaxRequests > 0 || fn.Concurrency.Adaptive != nil {
		t.Functions[name].Places = &state.places
	}
	if fn.ColdStart.Placement == "one_router" {
		t.Functions[name].Direct = &Route{Function: t.Functions[name], Index: -1, Priority: priorityOf(fn.Priority)}
	}
	if sticky := fn.LoadBalancing.Sticky; sticky != nil {
		t.Functions[name].StickyCookie = []byte(sticky.Cookie)
	}
}

// locate fills in where clients are, and where it is said whose calls are. A database that cannot be read now, though it
// could when the configuration was checked, leaves what was known before.
func (k *Keeper) locate(t, prev *Table) {
	var before *geo.Map
	if prev != nil {
		before = prev.Places
	}
	var err error
	t.Places, err = geo.NewMap(t.Config.Geography, before)
	if err != nil {
		t.Refused = append(t.Refused, Refusal{"geography.database", err.Error()})
	}
	t.PlaceHeader = message.NewKey(fieldName(t.Config.Geography.Header))
	t.TenantHeader = message.NewKey(fieldName(t.Config.Tenants.Header))
	for tenant, weight := range t.Config.Tenants.Weights {
		if t.TenantWeights == nil {
			t.TenantWeights = make(map[shaping.Key]int, len(t.Config.Tenants.Weights))
		}
		t.TenantWeights[shaping.KeyOf([]byte(tenant))] = weight
	}
}

// function returns one by its name; nil if it is not there, or no table.
func (t *Table) function(name string) *Function {
	if t == nil {
		return nil
	}
	return t.Functions[name]
}

// stateOf returns the State that the function had, or a new one.
func (k *Keeper) stateOf(cfg *config.Config, prev *Table, fn config.Function) (*State, error) {
	// Another scaler is another life, and so is one of another type or on another
	// engine under the same name: the old one's instances are stopped with the old State.
	name := fn.ColdStart.Scaler
	if was := prev.function(fn.Name); was != nil && was.ColdStart.Scaler == name &&
		prev.Config.Scalers[name].SamePlace(cfg.Scalers[name]) {
		return was.State, nil
	}
	state := k.newState(fn.Name)
	if fn.ColdStart.Scaler == "" {
		return state, nil
	}
	act, err := k.activator.Adopt(fn, state.Hold, state)
	if err != nil {
		state.Meter.Unregister()
		return nil, err
	}
	state.Start = act
	return state, nil
}

func (k *Keeper) newState(name string) *State {
	state := &State{Meter: k.newMeter(name)}
	state.Hold = coldstart.NewHold(0, k.pool, func() {
		if state.Start != nil {
			state.Start.Need()
		}
	})
	state.set.Store(&Set{})
	state.shake = func() { k.inbox.put(func() { k.inbox.shaken[name] = struct{}{} }) }
	state.tell(name, k.log)
	return state
}

// sameInstances tells whether instances of a would be started as those of b.
func sameInstances(a, b config.Function) bool {
	return reflect.DeepEqual(a.Process, b.Process) && reflect.DeepEqual(a.Webhook, b.Webhook) &&
		reflect.DeepEqual(a.Docker, b.Docker)
}

// ratePolicy is what clients are told of limits: the quota of each and, if it is of whole
// seconds, its window.
func ratePolicy(limits config.RateLimits) (policy []byte) {
	if len(limits) == 0 {
		return nil // of ten thousand functions hardly any has one
	}
	for i, name := range limits.Names() {
		if i > 0 {
			policy = append(policy, ", "...)
		}
		policy = fmt.Appendf(policy, `"%s";q=%d`, name, limits[i].Requests)
		if window := limits[i].Window; window%time.Second == 0 {
			policy = fmt.Appendf(policy, ";w=%d", window/time.Second)
		}
	}
	return policy
}

// fieldName is the name of a field as most clients write it: the case that it is in
// makes no difference, and what is the same is found so at once.
func fieldName(text string) []byte { return bytesOf(textproto.CanonicalMIMEHeaderKey(text)) }

// bytesOf are those of a text; nil of none.
func bytesOf(text string) []byte {
	if text == "" {
		return nil
	}
	return []byte(text)
}
