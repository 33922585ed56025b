package admin

import (
	"cmp"
	"fmt"
	"runtime"
	"slices"
	"time"

	"github.com/weir-gateway/weir/config"
	"github.com/weir-gateway/weir/internal/telemetry"
	"github.com/weir-gateway/weir/proxy/table"
)

// A Version is which weir it is, as /api/v1/version shows it.
type Version struct {
	Version  string `json:"version"`
	Revision string `json:"revision"`
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

// A Route is which calls go to a function, as /api/v1/routes shows it.
type Route struct {
	Hosts        []string `json:"hosts"` // empty: any
	Path         string   `json:"path,omitempty"`
	PathTemplate string   `json:"path_template,omitempty"`
	PathRegex    string   `json:"path_regex,omitempty"`
	PathPrefix   string   `json:"path_prefix,omitempty"`
	Methods      []string `json:"methods,omitempty"`    // none: any
	Conditions   []string `json:"conditions,omitempty"` // as people read them
	Precedence   int      `json:"precedence,omitempty"`
	Function     string   `json:"function"` // of a split all, with their weights; or what weir answers

	Origin config.Origin `json:"origin"` // where the route is said
}

// A Function is how a function fares, as /api/v1/functions shows it.
type Function struct {
	Name       string      `json:"name"`
	State      string      `json:"state"` // cold, starting, warm, draining; static: nothing can raise it
	Since      *time.Time  `json:"since"` // it is in that state; null if static
	Scaler     string      `json:"scaler"`
	Instances  int         `json:"instances"` // endpoints that can be called now
	InFlight   int         `json:"in_flight"` // calls inside, held ones included
	Held       int         `json:"held"`
	Calls      int64       `json:"calls"`    // that have ended since the function came
	Failed     int64       `json:"failed"`   // of those, with a status of 500 and over
	ETA        *int64      `json:"eta_ms"`   // how long a call would wait now; null if nobody knows
	Expected   *Expected   `json:"expected"` // what it is next raised for; null if nothing is known
	RateLimits []RateLimit `json:"rate_limits,omitempty"`
	Holder     *Holder     `json:"holder,omitempty"` // which router raises it; none if each does for itself
}

// A Holder is the router that raises a function for all (placement: one_router).
type Holder struct {
	Router string `json:"router"` // its address; empty if it is this one
	Handed int    `json:"handed"` // calls that are with another router now
	Most   int    `json:"most"`   // that may be
}

// A RateLimit is one of those that say how many calls a function lets in.
type RateLimit struct {
	Limit     string  `json:"limit"` // as people say it
	Shared    bool    `json:"shared"`
	PerSecond float64 `json:"per_second"` // that each key may come with here
	Burst     int     `json:"burst"`      // that may come at once here
	Limited   int     `json:"limited"`    // that were turned away
}

// Expected is why a function is raised before it is called.
type Expected struct {
	At   time.Time `json:"at"`
	Kind string    `json:"kind"` // schedule: a window opens; predict: a call
}

// An Endpoint is who serves a function, as /api/v1/functions/{f}/endpoints
// shows it.
type Endpoint struct {
	ID       string `json:"id"`
	Address  string `json:"address"`
	Region   string `json:"region"`
	Zone     string `json:"zone"`
	Weight   int    `json:"weight"`
	Slots    int    `json:"slots"` // calls it carries at once; 0 is no limit
	InFlight int    `json:"in_flight"`
	State    string `json:"state"` // healthy; unhealthy: by its health checks; ejected: set aside after failures
}

func version(scene telemetry.Scene, _ string) any {
	return Version{scene.Version, scene.Revision, runtime.Version(), runtime.GOOS + "/" + runtime.GOARCH}
}

func effectiveConfig(scene telemetry.Scene, _ string) any {
	return config.Shown{Config: scene.Table.Config}
}

// routes shows those that stand, in the order of the configuration.
func routes(scene telemetry.Scene, _ string) any {
	seen := []Route{}
	for i, r := range scene.Table.Config.Routes {
		leads := func(name string) bool { return scene.Table.Functions[name] != nil }
		if names := r.Functions(); len(names) == 0 || slices.ContainsFunc(names, leads) {
			seen = append(seen, Route{
				Hosts: append([]string{}, r.Hosts...),
				Path:  r.Path, PathTemplate: r.PathTemplate, PathRegex: r.PathRegex, PathPrefix: r.PathPrefix,
				Methods: r.Methods, Conditions: r.Conditions(), Precedence: r.Precedence, Function: r.Target(),
				Origin: scene.Table.Config.Origin(fmt.Sprintf("routes[%d]", i)),
			})
		}
	}
	return seen
}

func functions(scene telemetry.Scene, _ string) any {
	seen := make([]Function, 0, len(scene.Table.Functions))
	for _, fn := range scene.Table.Functions {
		seen = append(seen, look(scene, fn, time.Now()))
	}
	slices.SortFunc(seen, func(a, b Function) int { return cmp.Compare(a.Name, b.Name) })
	return seen
}

func oneFunction(scene telemetry.Scene, name string) any {
	fn := scene.Table.Functions[name]
	if fn == nil {
		return nil
	}
	return look(scene, fn, time.Now())
}

func look(scene telemetry.Scene, fn *table.Function, now time.Time) Function {
	inside, _ := fn.Gate.Inside()
	seen := Function{
		Name:      fn.Name,
		State:     "static",
		Scaler:    fn.ColdStart.Scaler,
		Instances: len(fn.Set().Endpoints),
		InFlight:  inside,
		Held:      fn.Hold.Len(),
	}
	for _, l := range fn.Limiter.Limits().All() {
		perSecond, burst := l.Portion()
		seen.RateLimits = append(seen.RateLimits, RateLimit{l.Text(), l.Shared, perSecond, burst, l.Limited()})
	}
	if m, ok := fn.Meter.(*telemetry.Meter); ok {
		seen.Calls, seen.Failed = m.Tally()
	}
	if fn.Start == nil {
		return seen
	}
	if fn.Direct != nil {
		seen.Holder = holderOf(fn)
	}
	status := fn.Start.Status()
	seen.State = status.State
	if !status.Since.IsZero() {
		since := status.Since.UTC()
		seen.Since = &since
	}
	if scene.Expected != nil {
		if at, kind, ok := scene.Expected(fn.Name); ok {
			seen.Expected = &Expected{at.UTC(), kind}
		}
	}
	if wait, known := status.Wait(now); known {
		ms := wait.Milliseconds()
		seen.ETA = &ms
	}
	return seen
}

func holderOf(fn *table.Function) *Holder {
	h := &Holder{}
	if before := fn.Holders(); len(before) > 0 {
		h.Router = before[0].Addr
	}
	h.Handed, h.Most = fn.Handed()
	return h
}

func peers(scene telemetry.Scene, _ string) any {
	return append([]telemetry.Router{}, scene.Routers...)
}

// reset opens the door that failed starts have closed.
func reset(scene telemetry.Scene, name string) any {
	fn := scene.Table.Functions[name]
	if fn == nil {
		return nil
	}
	if fn.Start != nil {
		fn.Start.Reset()
	}
	return struct {
		Function string `json:"function"`
		Reset    bool   `json:"reset"` // false: nothing can raise it
	}{name, fn.Start != nil}
}

func endpointsOf(scene telemetry.Scene, name string) any {
	fn := scene.Table.Functions[name]
	if fn == nil {
		return nil
	}
	now := time.Now()
	seen := []Endpoint{}
	set := fn.Set()
	for _, ep := range set.Endpoints {
		seen = append(seen, Endpoint{
			ep.ID, ep.Addr, ep.Region, ep.Zone, ep.Weight, ep.Endpoint.Slots, ep.Link.Slots.InFlight(), set.StateOf(ep, now),
		})
	}
	slices.SortFunc(seen, func(a, b Endpoint) int { return cmp.Compare(a.ID, b.ID) })
	return seen
}

func refused(scene telemetry.Scene, _ string) any {
	return append(append([]table.Refusal{}, scene.Table.Refused...), scene.Refused...)
}
