package main

import (
	"context"
	"log/slog"
	"maps"
	"net"
	"slices"
	"strings"

	"github.com/weir-gateway/weir/config"
	"github.com/weir-gateway/weir/discovery"
	"github.com/weir-gateway/weir/discovery/dns"
	"github.com/weir-gateway/weir/discovery/file"
	"github.com/weir-gateway/weir/discovery/httpjson"
)

// sources are the providers beside Consul that discovery names, for as long as
// its settings hold.
type sources struct {
	providers map[string]discovery.Provider // by the word in front of a service
	runs      []func(context.Context) error
	refusers  []func() []discovery.Refusal

	ctx context.Context // ends with the settings
	end func()
}

func newSources(cfg config.Discovery, log *slog.Logger) *sources {
	names := dns.New(cfg.DNS, log)
	s := &sources{
		providers: map[string]discovery.Provider{config.FromDNS: discovery.Guard(names, cfg.DNS.EmptyAfter)},
		refusers:  []func() []discovery.Refusal{names.Refused},
	}
	s.ctx, s.end = context.WithCancel(context.Background())
	if cfg.File != nil {
		f := file.New(*cfg.File, log)
		s.providers[config.FromFile] = discovery.Guard(f, cfg.File.EmptyAfter)
		s.runs, s.refusers = append(s.runs, f.Run), append(s.refusers, f.Refused)
	}
	if cfg.HTTP != nil {
		h := httpjson.New(*cfg.HTTP, log)
		s.providers[config.FromHTTP] = discovery.Guard(h, cfg.HTTP.EmptyAfter)
		s.runs, s.refusers = append(s.runs, h.Run), append(s.refusers, h.Refused)
	}
	return s
}

// run starts what has to run, until the settings end.
func (s *sources) run(begin func(func(context.Context) error)) {
	for _, run := range s.runs {
		begin(func(ctx context.Context) error {
			ctx, cancel := context.WithCancel(ctx)
			defer cancel()
			defer context.AfterFunc(s.ctx, cancel)()
			return run(ctx)
		})
	}
}

// refused is what they do without.
func (s *sources) refused() (all []discovery.Refusal) {
	for _, refused := range s.refusers {
		all = append(all, refused()...)
	}
	return all
}

// bySource is the Provider that asks the source which a function's service
// names.
type bySource map[string]discovery.Provider

// String names them.
func (b bySource) String() string { return strings.Join(slices.Sorted(maps.Keys(b)), "+") }

// Watch watches with the function's source.
func (b bySource) Watch(ctx context.Context, fn *config.Function, report func([]discovery.Endpoint)) error {
	source, name := fn.Source()
	if p := b[source]; p != nil {
		if fn.ServiceScheme == "https" {
			report = overTLS(name, report)
		}
		return p.Watch(ctx, fn, report)
	}
	return discovery.Nothing(ctx, report)
}

// overTLS makes endpoints of a service such that speak TLS. Their certificates
// are for the name that DNS has them under, or for their addresses.
func overTLS(service string, report func([]discovery.Endpoint)) func([]discovery.Endpoint) {
	name, _, err := net.SplitHostPort(service)
	return func(set []discovery.Endpoint) {
		for i, ep := range set {
			set[i].TLS = true
			if set[i].Host = name; err != nil {
				set[i].Host, _, _ = net.SplitHostPort(ep.Addr)
			}
		}
		report(set)
	}
}
