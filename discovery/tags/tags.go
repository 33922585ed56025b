package tags

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/weir-gateway/weir/config"
	"github.com/weir-gateway/weir/discovery"
)

const (
	ours  = "weir.route="
	fabio = "urlprefix-"
	meta  = "weir_route"

	// longest is how long one tag may be. Metadata of Consul's has 512 bytes.
	longest = 4096

	// mostWeight is more than anybody means: shares over 1 in all are scaled.
	mostWeight = 1e6
)

// A Route is what a service says of calls that are for it.
type Route struct {
	Service string
	Tag     string // as it stands in the registry

	Host   string // in lower case; "": any
	Scheme string // by which clients come, http or https; "": any
	Path   string // the prefix, by segments
	Exact  bool   // the path alone, and nothing below it

	Methods  []string // in upper case; none: any
	Priority string   // of its calls in line; "": the function's
	Access   config.Access

	Strip        string // taken off the front of the path; Path begins with it
	Prepend      string // then put in front
	RewriteHost  string // what the endpoint is told as Host; "": what the client said
	EndpointHost bool   // it is told its own address
	Redirect     *Redirect

	TLS      bool    // the endpoints speak it
	Insecure bool    // and whoever they are is fine
	Weight   float64 // share of the calls among those with the same route, for each instance; 0: what the others leave

	Notes []string // what of the tag is left out, though the route stands

	Instances   int      // that say so
	Serving     int      // of them
	Partial     bool     // not all of the service's: those with Tag alone
	Datacenters []string // they are in, in order
}

// A Redirect sends clients elsewhere.
type Redirect struct {
	Status    int
	Scheme    string // http or https
	Host      string // in lower case; "": whom the client asked
	Port      int    // 0: the usual one of the scheme
	Path      string // to go to, or in front of the call's
	KeepsPath bool   // the path of the call, as it would be forwarded, stands behind Path
}

// An Instance is what an instance of a service says of itself.
type Instance struct {
	ID         string
	Datacenter string
	Tags       []string
	Metadata   map[string]string
	Serves     bool // it can be called
}

// Read reads the routes of a service from the tags and the metadata of its
// instances. A tag is for the instances that have it, metadata is for all. What
// contradicts what stands before is refused, in the order of the tags.
func Read(service string, instances []Instance) (routes []Route, refused []discovery.Refusal) {
	r := reading{service: service, instances: instances, known: map[string]*Route{}, refused: map[string]error{}}
	for _, one := range instances {
		if r.datacenter = one.Datacenter; one.Datacenter != instances[0].Datacenter {
			r.datacenter = "" // several
			break
		}
	}
	for i := range instances {
		r.readTags(&instances[i])
	}
	r.readMetadata()
	for _, tag := range slices.Sorted(maps.Keys(r.known)) {
		if route := r.known[tag]; route != nil && route.Instances > 0 {
			slices.Sort(route.Datacenters)
			routes = append(routes, *route)
		}
	}
	for _, tag := range slices.Sorted(maps.Keys(r.refused)) {
		refused = append(refused, discovery.Refusal{What: fmt.Sprintf("service %s, %s", service, shown(tag)), Reason: r.refused[tag].Error()})
	}
	return routes, refused
}

// A reading is what is known of a service's routes while they are read.
type reading struct {
	service    string
	instances  []Instance
	datacenter string            // of all of them; "": of several
	known      map[string]*Route // by tag; nil: one that cannot be read
	refused    map[string]error  // by tag
}

// readTags reads those of an instance. One that says the same as another of its
// own is no further route.
func (r *reading) readTags(one *Instance) {
	var own []*Route
	for _, tag := range slices.Compact(slices.Sorted(slices.Values(one.Tags))) {
		tag = strings.TrimSpace(tag)
		if !Known(tag) {
			continue
		}
		route, was := r.known[tag]
		if !was {
			route = r.readTag(tag)
			r.known[tag] = route
		}
		if route == nil || !r.fits(route, own) {
			continue
		}
		own = append(own, route)
		route.have(one)
		route.Partial = route.Instances < len(r.instances)
	}
}

func (r *reading) readTag(tag string) *Route {
	rule, known := strings.CutPrefix(tag, ours)
	by := options
	if !known {
		rule, by = strings.TrimPrefix(tag, fabio), fabioOptions
	}
	return r.read(tag, rule, by)
}

func (r *reading) read(tag, rule string, known func(name string) option) *Route {
	route, err := read(rule, r.datacenter, known)
	if err != nil {
		r.refused[tag] = err
		return nil
	}
	route.Service, route.Tag = r.service, tag
	return &route
}

// readMetadata reads that of all instances, which is for the whole service.
func (r *reading) readMetadata() {
	for i := range r.instances {
		for _, key := range slices.Sorted(maps.Keys(r.instances[i].Metadata)) {
			value := r.instances[i].Metadata[key]
			tag := key + "=" + value
			if _, was := r.known[tag]; was || !strings.HasPrefix(key, meta) {
				continue
			}
			route := r.read(tag, value, options)
			standing := slices.DeleteFunc(slices.Collect(maps.Values(r.known)), func(s *Route) bool { return s == nil || s.Instances == 0 })
			slices.SortFunc(standing, func(a, b *Route) int { return strings.Compare(a.Tag, b.Tag) })
			r.known[tag] = route
			if route == nil || !r.fits(route, standing) {
				continue
			}
			for j := range r.instances {
				route.have(&r.instances[j])
			}
		}
	}
}

// fits tells whether a route is about other calls than those that stand. One that
// is not is refused, unless it says the same.
func (r *reading) fits(route *Route, standing []*Route) bool {
	for _, there := range standing {
		if !route.sameCalls(there) {
			continue
		}
		if !reflect.DeepEqual(there.said(), route.said()) {
			r.refused[route.Tag] = fmt.Errorf("contradicts %s, which is about the same calls", shown(there.Tag))
		}
		return false
	}
	return true
}

// have counts an instance that has the route.
func (r *Route) have(one *Instance) {
	r.Instances++
	if one.Serves {
		r.Serving++
	}
	if one.Datacenter != "" && !slices.Contains(r.Datacenters, one.Datacenter) {
		r.Datacenters = append(r.Datacenters, one.Datacenter)
	}
}

// said is the route without where it was said, and by whom.
func (r *Route) said() Route {
	said := *r
	said.Tag, said.Notes, said.Datacenters, said.Instances, said.Serving, said.Partial = "", nil, nil, 0, 0, false
	return said
}

// shown is a tag in a message.
func shown(tag string) string {
	const enough = 120
	if len(tag) > enough {
		return fmt.Sprintf("tag %q...", strings.ToValidUTF8(tag[:enough], ""))
	}
	return fmt.Sprintf("tag %q", tag)
}

// sameCalls tells whether two routes match the same.
func (r *Route) sameCalls(other *Route) bool {
	return r.Host == other.Host && r.Scheme == other.Scheme && r.Path == other.Path &&
		r.Exact == other.Exact && slices.Equal(r.Methods, other.Methods)
}

// An option sets what a word behind the place says; value is "" and given false
// if it is the word alone.
type option func(r *Route, value string, given bool) error

// read reads HOST/PATH and the options behind it.
func read(rule, datacenter string, known func(name string) option) (Route, error) {
	if len(rule) > longest {
		return Route{}, fmt.Errorf("is longer than %d bytes", longest)
	}
	words := strings.Fields(rule)
	if len(words) == 0 {
		return Route{}, fmt.Errorf("names no calls: write it as in %sapi.example.com/checkout", ours)
	}
	where, err := expanded(words[0], datacenter)
	if err != nil {
		return Route{}, err
	}
	r, err := place(where)
	if err != nil {
		return Route{}, err
	}
	said := map[string]bool{}
	for _, word := range words[1:] {
		name, value, given := strings.Cut(word, "=")
		set := known(name)
		switch {
		case set == nil:
			return Route{}, fmt.Errorf("has an unknown option %q", name)
		case said[name]:
			return Route{}, fmt.Errorf("says %s twice", name)
		}
		said[name] = true
		if err := set(&r, value, given); err != nil {
			return Route{}, err
		}
	}
	if err := r.check(); err != nil {
		return Route{}, err
	}
	if !r.Exact { // a prefix is the same with a slash at its end
		r.Path = cmp.Or(strings.TrimRight(r.Path, "/"), "/")
	}
	return r, nil
}

// expanded puts in Fabio's one variable, the datacenter.
func expanded(text, datacenter string) (string, error) {
	if !strings.Contains(text, "$") {
		return text, nil
	}
	known := true
	text = os.Expand(text, func(name string) string {
		known = known && name == "DC"
		return datacenter
	})
	switch {
	case !known:
		return "", fmt.Errorf("has a variable in it that is not $DC: %q", text)
	case datacenter == "":
		return "", errors.New("has $DC in it, and its service is in several datacenters: weir counts their instances together")
	}
	return text, nil
}

var errBrace = errors.New("has a brace in its path, where other paths would have a variable")

// schemes are those of Fabio's way to tell calls by http from calls by https.
var schemes = map[string]string{"80": "http", "443": "https"}

// place reads HOST/PATH.
func place(text string) (Route, error) {
	host, path, slash := strings.Cut(text, "/")
	host = strings.ToLower(host)
	switch {
	case strings.HasPrefix(host, ":"):
		return Route{}, fmt.Errorf("is about a port: weir routes HTTP, by host and path")
	case !slash:
		return Route{}, fmt.Errorf("has no slash: write it as in %s/", text)
	}
	r := Route{Host: host, Path: "/" + path}
	if name, port, ok := strings.Cut(host, ":"); ok && schemes[port] != "" {
		r.Host, r.Scheme = name, schemes[port]
		host = name
	}
	if host != "" {
		if err := config.CheckHost(host); err != nil {
			return Route{}, fmt.Errorf("its host %w", err)
		}
	}
	if err := config.CheckPathPrefix(r.Path); err != nil {
		return Route{}, fmt.Errorf("its path %w", err)
	}
	return r, nil
}

// check is about what only all options together tell.
func (r *Route) check() error {
	switch {
	case r.Strip != "" && !below(r.Path, r.Strip):
		return fmt.Errorf("strips %s, which its path does not begin with", r.Strip)
	case r.Redirect != nil && (r.RewriteHost != "" || r.EndpointHost || r.TLS || r.Weight > 0):
		return fmt.Errorf("redirects, and says besides what is forwarded")
	case r.Redirect != nil && !r.Redirect.KeepsPath && (r.Strip != "" || r.Prepend != ""):
		return fmt.Errorf("strips or prepends, and its redirect has no $path")
	case strings.ContainsAny(r.Forwarded(), "{}"):
		return errBrace
	case r.Insecure && !r.TLS:
		return fmt.Errorf("says tlsskipverify, but not proto=https")
	}
	return nil
}

// below tells whether a path is a prefix, or below it by whole segments.
func below(path, prefix string) bool {
	prefix = strings.TrimRight(prefix, "/")
	rest, ok := strings.CutPrefix(path, prefix)
	return ok && (rest == "" || rest[0] == '/')
}

// Forwarded is what stands in for Path, at the front of the path, when a call is
// forwarded.
func (r *Route) Forwarded() string {
	path := strings.TrimRight(r.Prepend, "/") + strings.TrimPrefix(strings.TrimRight(r.Path, "/"), strings.TrimRight(r.Strip, "/"))
	return cmp.Or(path, "/")
}

func readPath(name, value string) (string, error) {
	if err := config.CheckPathPrefix(value); err != nil {
		return "", fmt.Errorf("its %s %w", name, err)
	}
	return value, nil
}

func readPrefixes(name, value string) (all []netip.Prefix, err error) {
	for item := range strings.SplitSeq(value, ",") {
		p, err := netip.ParsePrefix(item)
		if addr, bad := netip.ParseAddr(item); bad == nil {
			p, err = addr.Prefix(addr.BitLen())
		}
		if err != nil {
			return nil, fmt.Errorf("its %s has what is neither a network nor an address: %q", name, item)
		}
		all = append(all, p.Masked())
	}
	return all, nil
}

func readShare(value string) (float64, error) {
	share, err := strconv.ParseFloat(value, 64)
	if err != nil || !(share >= 0 && share <= mostWeight) {
		return 0, fmt.Errorf("its weight must be a share as 0.05, not %q", value)
	}
	return share, nil
}
