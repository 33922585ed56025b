package consul

import (
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/consul/api"
	"golang.org/x/sys/unix"

	"github.com/weir-gateway/weir/config"
	"github.com/weir-gateway/weir/discovery"
)

// A datacenter is a Provider of the instances in one of Consul's.
type datacenter struct {
	*Registry
	region string // of its instances
	name   string // "": the agent's own
	pace   pace

	mu     sync.Mutex // guards all below
	counts Counts
	away   map[*query]struct{} // those that cannot ask now

	refused map[string]struct{} // instances and reasons that were logged
}

// Counts are what there is to tell of a datacenter.
type Counts struct {
	Datacenter  string
	Region      string
	Services    int              // that are watched
	Updates     uint64           // answers that changed something
	Queries     uint64           // that were answered
	Failures    map[string]int64 // that were not, by reason
	LastSuccess time.Time        // when the last answer came
	FailingFrom time.Time        // since when at least one service cannot be asked about; zero if all can
	Guarded     int              // services whose last set stands although Consul does not name it any more
}

func newDatacenter(r *Registry, region, name string) *datacenter {
	return &datacenter{Registry: r, region: region, name: name, away: map[*query]struct{}{}, refused: map[string]struct{}{}, counts: Counts{Failures: map[string]int64{}}}
}

// String names the provider.
func (d *datacenter) String() string {
	if d.name == "" {
		return "consul"
	}
	return "consul:" + d.name
}

// Watch reports the instances of fn's service.
func (d *datacenter) Watch(ctx context.Context, fn *config.Function, report func([]Endpoint)) error {
	service, mine := fn.ServiceIn(config.FromConsul)
	if !mine {
		return discovery.Nothing(ctx, report)
	}
	s := &subscriber{tags: fn.ServiceTags, loose: slices.ContainsFunc(fn.ServiceTags, config.Declares), slots: fn.ColdStart.Concurrency, report: report}
	q := d.join(key{d, service}, s)
	<-ctx.Done()
	d.leave(q, s)
	return nil
}

// answered notes that a query was, and that it changed something.
func (d *datacenter) answered(q *query, news bool) {
	now := time.Now()
	d.mu.Lock()
	defer d.mu.Unlock()
	d.counts.Queries++
	d.counts.LastSuccess = now
	if news {
		d.counts.Updates++
	}
	delete(d.away, q)
	if len(d.away) == 0 && !d.counts.FailingFrom.IsZero() {
		d.log.Info("consul can be asked again", "datacenter", d.name, "after_ms", now.Sub(d.counts.FailingFrom).Milliseconds())
		d.counts.FailingFrom = time.Time{}
	}
}

// failed notes that a query was not answered, which waited at the agent or not.
// Of an outage one line is logged, whoever notices it.
func (d *datacenter) failed(q *query, err error, waited bool) {
	reason := reasonOf(err)
	if !waited && dropped(err) && d.turns.held() {
		// An agent whose limit of connections is reached writes its 429 and closes
		// before it was asked: that is seldom read. That others wait there says
		// that it lives (Consul 1.8.7, 2026-11-26).
		reason = "limited"
	}
	limit := 0
	if reason == "limited" {
		limit = d.turns.shrink(time.Now())
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.counts.Failures[reason]++
	d.away[q] = struct{}{}
	if d.counts.FailingFrom.IsZero() {
		d.counts.FailingFrom = time.Now()
		d.log.Warn("consul cannot be asked: the last known endpoints stay", "datacenter", d.name, "service", q.service, "reason", reason, "error", err.Error())
	}
	if limit > 0 {
		d.log.Warn("the agent limits our connections: more services are asked in turns; lower discovery.consul.max_connections or raise the agent's limits.http_max_conns_per_client",
			"datacenter", d.name, "waiting_queries", limit)
	}
}

// gone forgets a query that has ended.
func (d *datacenter) gone(q *query) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.away, q)
	if len(d.away) == 0 {
		d.counts.FailingFrom = time.Time{}
	}
}

// reasonOf is what failures are counted by.
func reasonOf(err error) string {
	var status api.StatusError
	switch {
	case errors.As(err, &status) && status.Code == http.StatusTooManyRequests:
		return "limited"
	case errors.As(err, &status) && status.Code == http.StatusForbidden, errors.Is(err, errDenied):
		return "denied"
	case errors.As(err, &status):
		return "refused"
	case errors.Is(err, context.DeadlineExceeded):
		return "timeout"
	case errors.Is(err, errNoIndex):
		return "malformed"
	}
	return "unreachable"
}

// dropped tells whether a connection was accepted, and closed without an answer.
func dropped(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, unix.ECONNRESET) || errors.Is(err, unix.EPIPE) ||
		strings.HasSuffix(err.Error(), "server closed idle connection") // net/http does not export it
}

// Counts of every datacenter.
func (r *Registry) Counts() (all []Counts) {
	for _, d := range r.dcs {
		all = append(all, d.snapshot())
	}
	return all
}
