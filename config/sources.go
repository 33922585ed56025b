package config

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// The sources that functions.*.service can begin with. Without one it is
// Consul's.
const (
	FromConsul = "consul"
	FromDNS    = "dns"
	FromFile   = "file"
	FromHTTP   = "http"
)

var allSources = []string{FromConsul, FromDNS, FromFile, FromHTTP}

// FileDiscovery is a file with the endpoints of services, or a folder of such
// files, which are read again whenever they change. docs/discovery.md has the
// format.
type FileDiscovery struct {
	// Path of the file or folder. Of a folder, the files whose names end with
	// .yaml, .yml or .json and do not begin with a dot.
	Path string `yaml:"path"`
	// EmptyAfter is how long the files have to go on saying that nobody serves a
	// function that somebody has served, before that is believed.
	EmptyAfter time.Duration `yaml:"empty_after" default:"10s"`
}

// DNSDiscovery is how name servers are asked for the functions whose service is
// dns:NAME:PORT (A and AAAA) or dns:NAME (SRV).
type DNSDiscovery struct {
	// Servers to ask, in this order, as host:port; those of /etc/resolv.conf if
	// not given.
	Servers []string `yaml:"servers"`
	// Timeout of one question to one server.
	Timeout time.Duration `yaml:"timeout" default:"2s"`
	// MinTTL is how long an answer holds at least. What says less would be
	// asked for all the time.
	MinTTL time.Duration `yaml:"min_ttl" default:"1s"`
	// MaxTTL is how long an answer holds at most: what says more would be
	// noticed too late.
	MaxTTL time.Duration `yaml:"max_ttl" default:"1m"`
	// EmptyAfter is how long the name servers have to go on saying that there
	// is no such name, or no address of it, before that is believed.
	EmptyAfter time.Duration `yaml:"empty_after" default:"10s"`
}

// HTTPDiscovery is a URL at which the endpoints of services are, as JSON.
// docs/discovery.md has the format.
type HTTPDiscovery struct {
	// URL to ask.
	URL string `yaml:"url"`
	// Interval from one answer to the next question. Up to a tenth is added at
	// random, so that a hundred gateways do not ask at once.
	Interval time.Duration `yaml:"interval" default:"10s"`
	// Timeout of one question, its answer included.
	Timeout time.Duration `yaml:"timeout" default:"5s"`
	// MaxBytes an answer may have: a hundred thousand endpoints are 10 MiB.
	MaxBytes Size `yaml:"max_bytes" default:"16MiB"`
	// TokenFile has what is sent as Authorization: Bearer. It is read anew for
	// each question.
	TokenFile string `yaml:"token_file"`
	// EmptyAfter is how long the answers have to go on saying that nobody serves
	// a function that somebody has served, before that is believed.
	EmptyAfter time.Duration `yaml:"empty_after" default:"10s"`
}

// Source tells which source has the function's service, and under which name;
// both are empty if it has none.
func (f *Function) Source() (source, name string) {
	if f.Service == "" {
		return "", ""
	}
	source, name, prefixed := strings.Cut(f.Service, ":")
	if !prefixed || !slices.Contains(allSources, source) {
		return FromConsul, f.Service
	}
	return source, name
}

// ServiceIn returns the name under which a source has the function's endpoints;
// ok is false if it has not.
func (f *Function) ServiceIn(source string) (name string, ok bool) {
	from, name := f.Source()
	return name, from == source
}

// has tells whether a source can be asked. Name servers always can.
func (d *Discovery) has(source string) bool {
	switch source {
	case FromConsul:
		return d.Consul != nil
	case FromFile:
		return d.File != nil
	case FromHTTP:
		return d.HTTP != nil
	}
	return source == FromDNS
}

// completeService puts the only source that there is in front of a service that
// does not name it, and takes away Consul's, which is the one that is meant.
func completeService(service string, d Discovery) string {
	if name, ok := strings.CutPrefix(service, FromConsul+":"); ok && d.Consul != nil {
		return name
	}
	if service == "" || d.Consul != nil || strings.Contains(service, ":") || (d.File != nil) == (d.HTTP != nil) {
		return service
	}
	if d.File != nil {
		return FromFile + ":" + service
	}
	return FromHTTP + ":" + service
}

// ReadEndpoint brings an endpoint that a source reports into the form that one
// of the configuration has, or says what keeps it from being one. Weight and
// Slots must be set.
func ReadEndpoint(ep Endpoint) (Endpoint, error) {
	address, bad := readEndpoint(ep.Address)
	if bad != nil {
		return ep, fmt.Errorf("its address %w", bad)
	}
	ep.Address = address
	for _, label := range []struct{ name, value string }{{"region", ep.Region}, {"zone", ep.Zone}} {
		if label.value != "" && !validName.MatchString(label.value) {
			return ep, fmt.Errorf("its %s has an impossible name: %q", label.name, label.value)
		}
	}
	for _, number := range []struct {
		name  string
		value int
	}{{"weight", ep.Weight}, {"slots", ep.Slots}} {
		if number.value < 0 || number.value > maxNumber {
			return ep, fmt.Errorf("its %s must be from 0 to %d, not %d", number.name, maxNumber, number.value)
		}
	}
	return ep, nil
}

// maxNumber bounds what is added up.
const maxNumber = 1 << 20

// CheckHost says what keeps a host, in lower case, from being one of a route.
func CheckHost(host string) error { return mistake(hostMistake(host)) }

// CheckPathPrefix says what keeps a path from being a route's path_prefix.
func CheckPathPrefix(prefix string) error { return mistake(prefixMistake(prefix)) }

func mistake(what, hint string) error {
	if what == "" {
		return nil
	}
	return &wrong{what, hint}
}
