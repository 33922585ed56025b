package dns

import (
	"context"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/weir-gateway/weir/config"
	"github.com/weir-gateway/weir/discovery"
)

// A Provider reports the endpoints that name servers know.
type Provider struct {
	settings config.DNSDiscovery
	asker    asker
	log      *slog.Logger

	mu      sync.Mutex        // guards all below, which is by service
	known   map[string]memory // where a newer watch begins
	watches map[string]int
	refused map[string][]discovery.Refusal
}

// A memory is what was last known of a service.
type memory struct {
	set     []discovery.Endpoint
	targets map[string]addresses
}

// New makes a provider. Nobody is asked before a Watch.
func New(settings config.DNSDiscovery, log *slog.Logger) *Provider {
	return &Provider{
		settings: settings, log: log,
		asker:   asker{settings.Servers, settings.Timeout},
		known:   map[string]memory{},
		watches: map[string]int{},
		refused: map[string][]discovery.Refusal{},
	}
}

// String names the provider.
func (p *Provider) String() string { return config.FromDNS }

// Refused returns what in the last answers cannot be used, and what cannot be
// asked for, and why.
func (p *Provider) Refused() (all []discovery.Refusal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, service := range slices.Sorted(maps.Keys(p.refused)) {
		all = append(all, p.refused[service]...)
	}
	return all
}

// Watch reports the endpoints of the function's service.
func (p *Provider) Watch(ctx context.Context, fn *config.Function, report func([]discovery.Endpoint)) error {
	service, mine := fn.ServiceIn(config.FromDNS)
	if !mine {
		return discovery.Nothing(ctx, report)
	}
	n := newName(service, p.asker.ask)
	last, spoken := p.begin(service, n)
	defer p.end(service)
	if spoken {
		report(slices.Clone(last))
	}
	var doubted time.Time // since when a set that was not empty is
	failures := 0
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
		}
		f := n.look(ctx)
		if ctx.Err() != nil {
			return nil
		}
		p.note(service, n, f)
		switch {
		case !f.known:
		case !spoken || !slices.Equal(f.set, last):
			if len(f.set) == 0 && spoken {
				doubted = time.Now()
			}
			last, spoken = f.set, true
			report(slices.Clone(f.set))
		}
		if f.failed == nil {
			failures = 0
		} else {
			failures++
		}
		if time.Since(doubted) < p.settings.EmptyAfter { // it is asked again before that is believed
			f.ttl = min(f.ttl, p.settings.EmptyAfter/3)
		}
		timer.Reset(p.pause(f, failures))
	}
}

// pause is how long to wait before the name is looked up again: as long as the
// answer holds, and after a failure twice as long each time. A tenth is added at
// random, so that a hundred gateways do not ask at once.
func (p *Provider) pause(f finding, failures int) time.Duration {
	wait := f.ttl
	if failures > 0 {
		wait = p.settings.MinTTL << min(failures-1, 10)
	}
	wait = max(p.settings.MinTTL, min(wait, p.settings.MaxTTL))
	return wait + time.Duration(rand.Int64N(int64(wait)/10+1))
}

// begin has a watch go on where the last one of the service ended.
func (p *Provider) begin(service string, n *name) (set []discovery.Endpoint, known bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.watches[service]++
	m, known := p.known[service]
	maps.Copy(n.targets, m.targets)
	return m.set, known
}

func (p *Provider) end(service string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.watches[service]--; p.watches[service] == 0 {
		delete(p.watches, service)
		delete(p.refused, service)
	}
}

// note keeps what was found, and says what is wrong with a service when it is
// something else than before.
func (p *Provider) note(service string, n *name, f finding) {
	var refused []discovery.Refusal
	for _, reason := range f.refused {
		refused = append(refused, discovery.Refusal{What: "service dns:" + service, Reason: reason})
	}
	if f.failed != nil {
		reason := f.failed.Error()
		if len(f.set) > 0 {
			reason += "; what was answered before stands"
		}
		refused = append(refused, discovery.Refusal{What: "service dns:" + service, Reason: reason})
	}
	p.mu.Lock()
	if f.known {
		p.known[service] = memory{f.set, maps.Clone(n.targets)}
	}
	before := p.refused[service]
	if refused == nil {
		delete(p.refused, service)
	} else {
		p.refused[service] = refused
	}
	p.mu.Unlock()
	for _, r := range refused {
		if !slices.Contains(before, r) {
			p.log.Warn("refused", "what", r.What, "reason", r.Reason)
		}
	}
	if refused == nil && before != nil {
		p.log.Info("is answered again", "service", "dns:"+service)
	}
}
