package config

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"math"
	"reflect"
	"slices"
	"strings"
)

// A Registered is a route that a service in a registry declares of itself.
type Registered struct {
	What    string // the declaration, as people are told of it
	Service string // its name in Consul; in lower case the function's
	// Tag that the instances have for which it is; "": all of the service.
	Tag   string
	HTTPS bool // they speak TLS
	// Insecure is that nobody looks whose certificate they have.
	Insecure bool
	// Serving is how many of them can be called.
	Serving int
	// Weight is the share of the route's calls that each of them has, where
	// several declare it; 0: an even part of what is left.
	Weight float64
	Origin Origin
	// Route without Function. What is not said of it has its zero value.
	Route Route
}

// Calls tells the calls of the route apart from others.
func (r *Registered) Calls() string { return strings.Join(callsOf(&r.Route)[0][:], " ") }

// A Refusal is a Registered that a configuration does without.
type Refusal struct{ What, Reason string }

// WithRegistered returns the configuration with what a registry declares beneath
// it: routes for calls that no route of its own is for, and functions that it
// does not have, with everything as defaults say. Those that declare the same
// share the calls. What contradicts it, or what stands before it in the list, is
// refused.
func (c *Config) WithRegistered(all []Registered) (*Config, []Refusal) {
	if len(all) == 0 {
		return c, nil
	}
	j := joining{own: c, cfg: *c, taken: map[[2]string]bool{}, groups: map[[2]string]*group{}, functions: map[string]*Function{}}
	j.route = fresh(reflect.TypeFor[Route]()).Interface().(Route)
	j.cfg.upon = nil
	j.cfg.Functions = maps.Clone(c.Functions)
	if j.cfg.Functions == nil {
		j.cfg.Functions = map[string]*Function{}
	}
	j.cfg.Routes = slices.Clip(c.Routes)
	j.cfg.registered = map[string]Origin{}
	for i := range c.Routes {
		for _, key := range callsOf(&c.Routes[i]) {
			j.taken[key] = true
		}
	}
	var refused []Refusal
	for _, r := range all {
		if err := j.add(r); err != nil {
			refused = append(refused, Refusal{r.What, err.Error()})
		}
	}
	for _, g := range j.order {
		j.finish(g)
	}
	return &j.cfg, refused
}

// SameRegistered tells whether other, made of the same configuration, has the same
// routes and functions from registries.
func (c *Config) SameRegistered(other *Config) bool {
	if !maps.Equal(c.registered, other.registered) || len(c.Routes) != len(other.Routes) {
		return false
	}
	for i := len(c.Routes) - 1; i >= 0 && c.registered[routePath(i)] != (Origin{}); i-- {
		if !reflect.DeepEqual(c.Routes[i], other.Routes[i]) {
			return false
		}
	}
	for path := range c.registered {
		if name, is := strings.CutPrefix(path, "functions."); is {
			a, b := c.Functions[name], other.Functions[name] // of which all else is the configuration's
			if a == nil || b == nil || a.Service != b.Service || a.ServiceScheme != b.ServiceScheme || a.insecure() != b.insecure() || !slices.Equal(a.ServiceTags, b.ServiceTags) {
				return false
			}
		}
	}
	return true
}

func (fn *Function) insecure() bool { return fn.TLS != nil && fn.TLS.InsecureSkipVerify }

// Bridge returns the configuration with the routes that before has, and the
// functions of both: for as long as nobody knows who serves those that are new.
func (c *Config) Bridge(before *Config) *Config {
	both := *c
	both.upon = nil
	both.Routes = before.Routes
	both.registered = maps.Clone(before.registered)
	maps.Copy(both.registered, c.registered)
	both.Functions = maps.Clone(before.Functions)
	maps.Copy(both.Functions, c.Functions)
	return &both
}

// Declares tells whether a tag says something about routes.
func Declares(tag string) bool {
	return strings.HasPrefix(tag, "weir.route=") || strings.HasPrefix(tag, "urlprefix-")
}

// RouteFromRegistry tells whether a route is one that services declare.
func (c *Config) RouteFromRegistry(i int) bool { return c.registered[routePath(i)] != Origin{} }

// FromRegistry tells whether a function is there because a service declares it.
func (c *Config) FromRegistry(function string) bool {
	return c.registered["functions."+function] != Origin{}
}

func routePath(i int) string { return fmt.Sprintf("routes[%d]", i) }

// A joining is a configuration to which declarations are added.
type joining struct {
	own    *Config
	cfg    Config
	taken  map[[2]string]bool // by host and sameness: by the configuration itself
	groups map[[2]string]*group
	order  []*group

	functions map[string]*Function // what a declared one is like, by its scheme
	route     Route                // and a route
}

// A group is those who declare the same route.
type group struct {
	first   Registered
	members []member
}

type member struct {
	function string
	Registered
}

// callsOf are what tells the calls of two routes apart.
func callsOf(r *Route) (keys [][2]string) {
	for _, host := range hostsOf(r) {
		keys = append(keys, [2]string{host, r.sameness()})
	}
	return keys
}

func (j *joining) add(r Registered) error {
	keys := callsOf(&r.Route)
	for _, key := range keys {
		if j.taken[key] {
			return fmt.Errorf("its calls are those of a route of the configuration already")
		}
	}
	g := j.groups[keys[0]] // a declaration is for one host, or for all
	if g != nil && !reflect.DeepEqual(withoutRewrite(g.first.Route), withoutRewrite(r.Route)) {
		return fmt.Errorf("its calls are those of %s already, which says otherwise what becomes of them", g.first.What)
	}
	name := ""
	if r.Route.Redirect == nil {
		var err error
		if name, err = j.function(r, g); err != nil {
			return err
		}
	}
	if g == nil {
		g = &group{first: r}
		j.groups[keys[0]] = g
		j.order = append(j.order, g)
	}
	g.members = append(g.members, member{name, r})
	return nil
}

// withoutRewrite is what all who declare a route have to agree on: who may call it,
// how urgent it is, and whether clients are sent elsewhere. How a call goes on is
// between weir and those who have it, as in Fabio.
func withoutRewrite(r Route) Route {
	r.Rewrite = nil
	return r
}

// finish makes the route of a group.
func (j *joining) finish(g *group) {
	route := j.route
	said, to := reflect.ValueOf(g.first.Route), reflect.ValueOf(&route).Elem()
	for i := range said.NumField() {
		if !said.Field(i).IsZero() {
			to.Field(i).Set(said.Field(i))
		}
	}
	route.Hosts, route.Headers = slices.Clone(route.Hosts), slices.Clone(route.Headers) // completing writes to them
	switch {
	case route.Redirect != nil:
	case len(g.members) == 1:
		route.Function = g.members[0].function
	default:
		weights := sharesOf(g.members)
		alike := !slices.ContainsFunc(g.members, func(m member) bool { return !reflect.DeepEqual(m.Route.Rewrite, route.Rewrite) })
		for i, m := range g.members {
			share := Share{Function: m.function, Weight: weights[i]}
			if !alike {
				share.rewrite = cmp.Or(m.Route.Rewrite, &Rewrite{})
			}
			route.Split = append(route.Split, share)
		}
		if !alike {
			route.Rewrite = nil
		}
	}
	completeRoute(&j.cfg, &route, func(string) bool { return false })
	var places []string
	for _, m := range g.members {
		places = append(places, m.Origin.Place)
	}
	j.cfg.registered[routePath(len(j.cfg.Routes))] = Origin{Layer: g.first.Origin.Layer, Place: strings.Join(places, "; ")}
	j.cfg.Routes = append(j.cfg.Routes, route)
}

// sharesOf are the weights of those who declare the same, as Fabio has them: who
// asks for a share has it for each instance, what is left goes to the other
// instances evenly. Shares over 1 in all are scaled, and so are those under 1 if
// everyone asks for one.
func sharesOf(members []member) []int {
	parts, sum := portions(members)
	weights := make([]int, len(members))
	scale := mostWeight / sum
	if whole(parts) && sum <= mostWeight {
		scale = 1
	}
	left := mostWeight
	for i, part := range parts {
		if part > 0 {
			weights[i] = max(int(math.Round(part*scale)), 1)
		}
		left -= weights[i]
	}
	if left < 0 { // rounding has made more than all of them
		weights[slices.Index(weights, slices.Max(weights))] += left
	}
	return weights
}

// portions are the shares, by no scale but their own: instances if nobody asks for
// a share.
func portions(members []member) (parts []float64, sum float64) {
	fixed, even := 0.0, 0
	anybody := slices.ContainsFunc(members, func(m member) bool { return m.Serving > 0 })
	serving := func(m member) int {
		if !anybody { // whom to call makes no difference; who is tells that nobody serves
			return 1
		}
		return m.Serving
	}
	for _, m := range members {
		if m.Weight > 0 {
			fixed += m.Weight * float64(serving(m))
		} else {
			even += serving(m)
		}
	}
	for _, m := range members {
		part := float64(serving(m))
		switch {
		case m.Weight > 0:
			part *= m.Weight
		case fixed > 0:
			part *= max(1-fixed, 0) / float64(max(even, 1))
		}
		parts = append(parts, part)
		sum += part
	}
	return parts, sum
}

func whole(parts []float64) bool {
	return !slices.ContainsFunc(parts, func(p float64) bool { return p != math.Trunc(p) })
}

// function has the one of a declaration in the configuration, which none of the
// group has yet, and returns its name.
func (j *joining) function(r Registered, g *group) (string, error) {
	name := strings.ToLower(r.Service)
	if !validFunction.MatchString(name) {
		return "", fmt.Errorf("service %q cannot be the name of a function: up to 63 letters, digits, dots, dashes and underscores", r.Service)
	}
	own, known := j.own.Functions[name]
	if known {
		if err := r.agrees(name, own, true); err != nil {
			return "", err
		}
	}
	if known && (own.ColdStart.Scaler != "" || len(own.Endpoints) > 0) {
		r.Tag = "" // it is more than its instances there
	}
	if r.Tag != "" {
		if name = partOf(name, r.Tag); len(name) > 63 {
			return "", fmt.Errorf("the name of service %s is too long to tell its instances apart by their tags: 54 letters at most", r.Service)
		}
	}
	if g != nil {
		switch {
		case slices.ContainsFunc(g.members, func(m member) bool { return m.function == name }):
			return "", fmt.Errorf("its calls are those of %s already", g.first.What)
		case len(g.members) == mostShares:
			return "", fmt.Errorf("its calls are those of %d others already, and a route has no more", mostShares)
		}
	}
	if fn, here := j.cfg.Functions[name]; here {
		_, configured := j.own.Functions[name]
		return name, r.agrees(name, fn, configured)
	}
	var fn Function
	if known {
		fn = *own
	} else {
		fn = *j.declared(r.scheme())
		fn.Service = completeService(r.Service, j.cfg.Discovery)
		if r.Insecure {
			insecure := *fn.TLS
			fn.TLS, insecure.InsecureSkipVerify = &insecure, true
		}
	}
	fn.Name = name
	if r.Tag != "" {
		fn.ServiceTags = append(slices.Clip(fn.ServiceTags), r.Tag)
	}
	j.cfg.Functions[name] = &fn
	j.cfg.registered["functions."+name] = r.Origin
	return name, nil
}

// declared is a function with everything as defaults say.
func (j *joining) declared(scheme string) *Function {
	if j.functions[scheme] == nil {
		fn := fresh(reflect.TypeFor[Function]()).Interface().(Function)
		fn.Service, fn.ServiceScheme = "any", scheme
		completeFunction(&j.cfg, &fn, newDocument(), nil) // no key of it was given
		j.functions[scheme] = &fn
	}
	return j.functions[scheme]
}

func (r *Registered) scheme() string {
	if r.HTTPS {
		return "https"
	}
	return "http"
}

// agrees tells what keeps a function that is there from being the service's.
func (r *Registered) agrees(name string, fn *Function, configured bool) error {
	switch service, consul := fn.ServiceIn(FromConsul); {
	case !consul || service != r.Service:
		return fmt.Errorf("there is a function %s already, and it is not that service", name)
	case fn.ServiceScheme != r.scheme() || r.HTTPS && fn.insecure() != r.Insecure && !configured:
		return fmt.Errorf("another route of service %s, or the configuration, says of its instances that they speak %s otherwise", r.Service, r.scheme())
	}
	return nil
}

// partOf is the function of those instances of a service that have a tag.
func partOf(service, tag string) string {
	sum := sha256.Sum256([]byte(tag))
	return service + "." + hex.EncodeToString(sum[:4])
}
