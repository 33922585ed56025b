package consul

import (
	"cmp"
	"fmt"
	"net"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/hashicorp/consul/api"

	"github.com/weir-gateway/weir/discovery"
)

// Endpoint is what is reported.
type Endpoint = discovery.Endpoint

// An instance is an endpoint as everybody who wants the service sees it.
type instance struct {
	Endpoint
	tags       []string
	metadata   map[string]string // what begins with weir_; nil if nothing does
	datacenter string            // as Consul calls it
	node       string            // as Consul calls it, whatever the instance says
}

func sameInstance(a, b instance) bool {
	return a.Endpoint == b.Endpoint && slices.Equal(a.tags, b.tags)
}

// A subscriber is one function that wants a service, or who wants to know what
// its instances say.
type subscriber struct {
	tags   []string // that an instance must have
	loose  bool     // while none has them, all are its endpoints
	slots  int      // of instances that do not say
	report func([]Endpoint)
	hear   func([]Instance) // nil: a function. It must not block

	said bool
	last []Endpoint
}

// tell reports what of a set is the subscriber's, if it is news.
func (s *subscriber) tell(set []instance) {
	if s.report == nil {
		return
	}
	mine := s.choose(set, s.tags)
	if len(mine) == 0 && s.loose { // its calls go elsewhere a moment later
		mine = s.choose(set, nil)
	}
	if s.said && slices.Equal(mine, s.last) {
		return
	}
	s.said, s.last = true, mine
	s.report(slices.Clone(mine))
}

func (s *subscriber) choose(set []instance, tags []string) []Endpoint {
	mine := make([]Endpoint, 0, len(set))
	for _, i := range set {
		if i.has(tags) {
			ep := i.Endpoint
			ep.Slots = cmp.Or(ep.Slots, s.slots)
			mine = append(mine, ep)
		}
	}
	return mine
}

func (i instance) has(tags []string) bool {
	return !slices.ContainsFunc(tags, func(tag string) bool { return !slices.Contains(i.tags, tag) })
}

// A sighting is an instance in an answer.
type sighting struct {
	instance
	life       string // its registration: another one is another life
	serves     bool   // its checks say so
	maintained bool   // somebody has put it, or its node, into maintenance
	judged     bool   // a check has looked, and does not like it
}

// read makes sightings of an answer, in the order of their ids. An instance
// that cannot be called costs itself, what makes no sense in its metadata that.
func (d *datacenter) read(entries []*api.ServiceEntry, service string) (seen []sighting, refused []discovery.Refusal) {
	seen = make([]sighting, 0, len(entries))
	for _, e := range entries {
		s, left, err := d.sight(e)
		for _, reason := range append(left, err) {
			if reason != nil {
				refused = append(refused, d.refuse(service, e, reason))
			}
		}
		if err == nil {
			seen = append(seen, s)
		}
	}
	slices.SortFunc(seen, func(a, b sighting) int { return strings.Compare(a.ID, b.ID) })
	return seen, refused
}

// refuse says once of an instance why it cannot be called as it asks for.
func (d *datacenter) refuse(service string, e *api.ServiceEntry, reason error) discovery.Refusal {
	id, place := "", d.String()
	if e != nil && e.Service != nil {
		id = e.Service.ID
	}
	if e != nil && e.Node != nil {
		place += " node " + e.Node.Node
	}
	refusal := discovery.Refusal{What: fmt.Sprintf("service %s, instance %s (%s)", service, id, place), Reason: reason.Error()}
	about := service + "/" + id + ": " + reason.Error()
	d.mu.Lock()
	_, said := d.refused[about]
	if !said && len(d.refused) < mostRefused {
		d.refused[about] = struct{}{}
	}
	d.mu.Unlock()
	if !said {
		d.log.Warn("an instance cannot be called as it asks for", "datacenter", d.name, "service", service, "instance", id, "reason", reason.Error())
	}
	return refusal
}

// mostRefused bounds what is kept to say each reason once.
const mostRefused = 10_000

// sight reads an instance; left is what of its metadata it does without.
func (d *datacenter) sight(e *api.ServiceEntry) (s sighting, left []error, err error) {
	if e == nil || e.Service == nil || e.Node == nil {
		return s, nil, fmt.Errorf("it has no node or no service")
	}
	host := cmp.Or(e.Service.Address, e.Node.Address)
	if _, err := netip.ParseAddr(host); err != nil {
		return s, nil, fmt.Errorf("its address is not an IP address: %q", host)
	}
	if e.Service.Port < 1 || e.Service.Port > 65535 {
		return s, nil, fmt.Errorf("its port is %d", e.Service.Port)
	}
	s.Addr = net.JoinHostPort(host, strconv.Itoa(e.Service.Port))
	// With the address: a registration that moves is another endpoint.
	s.ID = fmt.Sprintf("%s/%s/%s@%s", d, e.Node.Node, e.Service.ID, s.Addr)
	s.life = fmt.Sprintf("%s#%d", s.ID, e.Service.CreateIndex)
	s.tags, s.node = slices.Sorted(slices.Values(e.Service.Tags)), e.Node.Node
	s.datacenter = cmp.Or(e.Node.Datacenter, d.name)
	for key, value := range e.Service.Meta {
		if strings.HasPrefix(key, "weir_") {
			if s.metadata == nil {
				s.metadata = map[string]string{}
			}
			s.metadata[key] = value
		}
	}
	left = s.locate(d.region, e)
	s.weigh(d.cfg.Warning == "weigh", e)
	return s, left, nil
}

// validRegion is what can stand in a label and on the command line.
var validRegion = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$`)

// locate takes over what the instance says of its place, as far as it makes
// sense, and tells what does not.
func (s *sighting) locate(region string, e *api.ServiceEntry) (left []error) {
	say := func(meta map[string]string, key, otherwise string) string {
		text := meta[key]
		switch {
		case text == "":
			return otherwise
		case validRegion.MatchString(text):
			return text
		}
		left = append(left, fmt.Errorf("its %s %q is left out: up to 63 letters, digits, dots, dashes and underscores", key, shortened(text)))
		return otherwise
	}
	s.Region = say(e.Service.Meta, "region", region)
	s.Zone = say(e.Service.Meta, "zone", "")
	s.Node = say(e.Service.Meta, "node", e.Node.Node)
	s.Rack = say(e.Service.Meta, "rack", e.Node.Meta["rack"])
	const most = 1_000_000
	if text := e.Service.Meta["slots"]; text != "" {
		if n, err := strconv.Atoi(text); err == nil && n > 0 && n <= most {
			s.Slots = n
		} else {
			left = append(left, fmt.Errorf("its slots %q are left out: a whole number from 1 to %d", shortened(text), most))
		}
	}
	return left
}

// shortened is a value in a message.
func shortened(text string) string {
	const enough = 80
	if len(text) > enough {
		return strings.ToValidUTF8(text[:enough], "") + "..."
	}
	return text
}

// weigh looks at the checks.
func (s *sighting) weigh(warning bool, e *api.ServiceEntry) {
	const most = 65535 // Consul's own
	switch e.Checks.AggregatedStatus() {
	case api.HealthPassing:
		s.serves, s.Weight = true, max(e.Service.Weights.Passing, 1) // Consul allows no 0; old ones say nothing
	case api.HealthWarning:
		s.serves, s.Weight = warning, e.Service.Weights.Warning
	case api.HealthMaint:
		s.maintained = true
	default:
		s.Weight = max(e.Service.Weights.Passing, 1)
		s.judged = slices.ContainsFunc(e.Checks, judges)
	}
	s.Weight = min(max(s.Weight, 0), most)
}

// judges tells whether a check that does not pass has more to say than that
// nobody listens yet. One that has not run has nothing to say.
func judges(c *api.HealthCheck) bool {
	switch {
	case c.Status == api.HealthPassing:
		return false
	case c.ServiceID == "": // the node's
		return true
	}
	return c.Output != "" && !strings.Contains(c.Output, "connection refused")
}
