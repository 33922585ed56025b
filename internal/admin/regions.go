package admin

import (
	"cmp"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/valyala/fasthttp"

	"github.com/weir-gateway/weir/config"
	"github.com/weir-gateway/weir/internal/telemetry"
	"github.com/weir-gateway/weir/proxy/table"
	"github.com/weir-gateway/weir/shaping/geo"
)

// A Region is what it is to every function that does not say otherwise, and how it
// fares, as /api/v1/regions shows it.
type Region struct {
	Name       string           `json:"name"`
	Configured bool             `json:"configured"` // false: only endpoints name it
	Weight     float64          `json:"weight"`
	Priority   int              `json:"priority"`
	Drain      bool             `json:"drain"`
	Disabled   bool             `json:"disabled"`
	Location   []config.Degrees `json:"location"` // latitude and longitude; null if not given
	Functions  []RegionOf       `json:"functions"`
}

// A RegionOf is a region as one function has it.
type RegionOf struct {
	Function  string  `json:"function"`
	Weight    float64 `json:"weight"`
	Priority  int     `json:"priority"`
	State     string  `json:"state"` // active, drained, disabled, weightless, cold, down, waiting, returning
	Endpoints int     `json:"endpoints"`
	Healthy   int     `json:"healthy"`
	Available float64 `json:"available"` // how much of its share it can carry, from 0 to 1
	Share     float64 `json:"share"`     // of the function's calls, from 0 to 1
}

// regionsOf are all that are configured or have an endpoint, in the order of their
// names, with their functions in the order of theirs.
func regionsOf(tab *table.Table) []Region {
	names := map[string]bool{}
	for name := range tab.Config.Regions {
		names[name] = true
	}
	for _, fn := range tab.Functions {
		for name := range regionsIn(fn.Set()) {
			names[name] = true
		}
	}
	list := make([]Region, 0, len(names))
	for _, name := range slices.Sorted(maps.Keys(names)) {
		if r := regionNamed(tab, name); r != nil { // else its last endpoint has just gone
			list = append(list, *r)
		}
	}
	return list
}

// regionsIn are the regions that a function's Set tells of.
func regionsIn(set *table.Set) iter.Seq2[string, RegionOf] {
	return func(yield func(string, RegionOf) bool) {
		if set.Split == nil {
			if n := len(set.Endpoints); n > 0 { // all in one
				yield(set.Endpoints[0].Region, RegionOf{Weight: 1, State: table.Active, Endpoints: n, Healthy: set.Well(), Available: 1, Share: 1})
			}
			return
		}
		for i := range set.Split.Regions {
			s := &set.Split.Regions[i]
			if !yield(s.Name, RegionOf{"", s.Weight, s.Priority, s.State, len(s.Set.Endpoints), s.Healthy, s.Available, s.Share}) {
				return
			}
		}
	}
}

func regions(scene telemetry.Scene, _ string) any { return regionsOf(scene.Table) }

// regionNamed finds one of them; nil if there is none.
func regionNamed(tab *table.Table, name string) *Region {
	region, configured := tab.Config.Regions[name]
	if !configured {
		region.Weight = 1
	}
	r := &Region{name, configured, region.Weight, region.Priority, region.Drain, region.Disabled, region.Location, []RegionOf{}}
	for function, fn := range tab.Functions {
		for of, fares := range regionsIn(fn.Set()) {
			if of == name {
				fares.Function = function
				r.Functions = append(r.Functions, fares)
			}
		}
	}
	if !configured && len(r.Functions) == 0 {
		return nil
	}
	slices.SortFunc(r.Functions, func(a, b RegionOf) int { return cmp.Compare(a.Function, b.Function) })
	return r
}

// isRegion tells whether there is a region of that name. Who drains one of ten
// thousand functions does not wait for all of them to be looked at.
func isRegion(tab *table.Table, name string) bool {
	_, configured := tab.Config.Regions[name]
	return configured || regionNamed(tab, name) != nil
}

// tagged has the answers of an endpoint say to which state of the configuration
// they belong.
func (s *Server) tagged(serve func(*fasthttp.RequestCtx, string)) func(*fasthttp.RequestCtx, string) {
	return func(ctx *fasthttp.RequestCtx, name string) {
		if s.Layers != nil {
			ctx.Response.Header.Set("ETag", strconv.Quote(s.Layers.Tag()))
		}
		serve(ctx, name)
	}
}

// explainShares answers how the calls of a function are divided (?function=), now or
// as if so many endpoints were healthy (&health=us-east=4/8,eu-west=2/2), for a client
// that is somewhere (&client=48.86,2.35).
func explainShares(ctx *fasthttp.RequestCtx, tab *table.Table, function string) {
	fn := tab.Functions[function]
	if fn == nil {
		refuse(ctx, fasthttp.StatusNotFound, "not_found", fmt.Sprintf("There is no function %q.", function))
		return
	}
	client, err := ReadClient(string(ctx.QueryArgs().Peek("client")))
	if err != nil {
		refuse(ctx, fasthttp.StatusBadRequest, "bad_request", err.Error())
		return
	}
	text := string(ctx.QueryArgs().Peek("health"))
	if text == "" {
		answerJSON(ctx, fn.ExplainShares(client))
		return
	}
	health, err := ReadHealth(text)
	if err != nil {
		refuse(ctx, fasthttp.StatusBadRequest, "bad_request", err.Error())
		return
	}
	answerJSON(ctx, table.ExplainShares(tab.Config, fn.Function, health, client))
}

// ReadClient reads where a client is, as in 48.86,2.35; nil if nothing is said.
func ReadClient(text string) (*geo.Point, error) {
	if text == "" {
		return nil, nil
	}
	at, ok := geo.ParsePoint(text)
	if !ok {
		return nil, fmt.Errorf("%q is no place; say latitude and longitude, as in 48.86,2.35", text)
	}
	return &at, nil
}

// mostEndpoints is beyond what any region has.
const mostEndpoints = 1_000_000

// ReadHealth reads how many endpoints of regions are healthy, of how many:
// us-east=4/8,eu-west=2/2.
func ReadHealth(text string) (map[string]table.Health, error) {
	health := map[string]table.Health{}
	for word := range strings.SplitSeq(text, ",") {
		name, counts, named := strings.Cut(strings.TrimSpace(word), "=")
		healthy, endpoints, both := strings.Cut(counts, "/")
		h, err := strconv.Atoi(healthy)
		n, err2 := strconv.Atoi(endpoints)
		_, twice := health[name]
		switch {
		case !named || !both || name == "" || err != nil || err2 != nil:
			return nil, fmt.Errorf("%q does not say how many endpoints of a region are healthy; say it as in us-east=4/8,eu-west=2/2", word)
		case h < 0 || n > mostEndpoints || h > n:
			return nil, fmt.Errorf("%q: of %d endpoints %d cannot be healthy", word, n, h)
		case twice:
			return nil, fmt.Errorf("%q is named twice", name)
		}
		health[name] = table.Health{Healthy: h, Endpoints: n}
	}
	return health, nil
}
