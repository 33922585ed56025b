package admin

import (
	"cmp"
	"runtime"
	"slices"
	"time"

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
	Hosts      []string `json:"hosts"` // empty: any
	PathPrefix string   `json:"path_prefix"`
	Function   string   `json:"function"`
}

// A Function is how a function fares, as /api/v1/functions shows it.
type Function struct {
	Name      string     `json:"name"`
	State     string     `json:"state"` // cold, starting, warm, draining; static: nothing can raise it
	Since     *time.Time `json:"since"` // it is in that state; null if static
	Scaler    string     `json:"scaler"`
	Instances int        `json:"instances"` // endpoints that can be called now
	InFlight  int        `json:"in_flight"` // calls inside, held ones included
	Held      int        `json:"held"`
	ETA       *int64     `json:"eta_ms"`   // how long a call would wait now; null if nobody knows
	Expected  *Expected  `json:"expected"` // what it is next raised for; null if nothing is known
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
	State    string `json:"state"` // healthy; ejected: set aside after failures
}

func version(scene telemetry.Scene, _ string) any {
	return Version{scene.Version, scene.Revision, runtime.Version(), runtime.GOOS + "/" + runtime.GOARCH}
}

func effectiveConfig(scene telemetry.Scene, _ string) any { return shown{scene.Table.Config} }

// routes shows those that stand, in the order of the configuration.
func routes(scene telemetry.Scene, _ string) any {
	seen := []Route{}
	for _, r := range scene.Table.Config.Routes {
		if scene.Table.Functions[r.Function] != nil {
			seen = append(seen, Route{append([]string{}, r.Hosts...), r.PathPrefix, r.Function})
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
	if fn.Start == nil {
		return seen
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
	for _, ep := range fn.Set().Endpoints {
		state := "healthy"
		if ep.Outlier.Ejected(now) {
			state = "ejected"
		}
		seen = append(seen, Endpoint{
			ep.ID, ep.Addr, ep.Region, ep.Zone, ep.Weight, ep.Endpoint.Slots, ep.Link.Slots.InFlight(), state,
		})
	}
	slices.SortFunc(seen, func(a, b Endpoint) int { return cmp.Compare(a.ID, b.ID) })
	return seen
}

func refused(scene telemetry.Scene, _ string) any {
	return append([]table.Refusal{}, scene.Table.Refused...)
}
