package table

import (
	"reflect"
	"slices"
	"strings"

	"github.com/weir-gateway/weir/coldstart"
	"github.com/weir-gateway/weir/config"
	"github.com/weir-gateway/weir/proxy/message"
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
	for name, fn := range cfg.Functions {
		state, err := k.stateOf(prev, fn)
		if err != nil {
			t.Refused = append(t.Refused, Refusal{"function " + name, err.Error()})
			continue
		}
		t.Functions[name] = &Function{
			Function: fn, State: state,
			OwnDeadline: message.Lookup([]byte(fn.Deadline.Header)) == message.Other,
		}
	}
	for _, route := range cfg.Routes {
		switch {
		case t.Functions[route.Function] == nil:
			t.Refused = append(t.Refused, Refusal{"route " + route.PathPrefix, "its function " + route.Function + " is not there"})
		case depth(route.PathPrefix) > maxDepth:
			t.Refused = append(t.Refused, Refusal{"route " + route.PathPrefix, "it has more than 32 segments"})
		}
	}
	slices.SortFunc(t.Refused, func(a, b Refusal) int { return strings.Compare(a.What, b.What) })
	t.routes = buildRouter(cfg.Routes, t.Functions)
	return t
}

// stateOf returns the State that the function had, or a new one.
func (k *Keeper) stateOf(prev *Table, fn config.Function) (*State, error) {
	if prev != nil {
		// Another scaler is another life: the old one's instances are stopped
		// with the old State.
		if was := prev.Functions[fn.Name]; was != nil && was.ColdStart.Scaler == fn.ColdStart.Scaler {
			return was.State, nil
		}
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
	return state
}

// sameInstances tells whether instances of a would be started as those of b.
func sameInstances(a, b config.Function) bool {
	return reflect.DeepEqual(a.Process, b.Process) && reflect.DeepEqual(a.Webhook, b.Webhook) &&
		reflect.DeepEqual(a.Docker, b.Docker)
}
