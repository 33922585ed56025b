package consul

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/consul/api"

	"github.com/weir-gateway/weir/discovery"
)

// lateAfter is how long the first report waits for datacenters that have not
// answered, once one has, and any for a service that was not heard yet.
const lateAfter = 2 * time.Second

// An Instance is what an instance of a service says of itself.
type Instance struct {
	ID         string // as that of its endpoint
	Datacenter string // as Consul calls it
	Tags       []string
	Metadata   map[string]string // what begins with weir_; nil if nothing does
	Serves     bool              // its checks pass
}

// WatchServices reports what the instances of services say of themselves, in all
// datacenters together, where one of them has a tag for which keep is true: soon
// all such services, and then those that have changed, until ctx ends. A service
// that has gone has no instances. The map belongs to the receiver, what is in it is
// frozen.
//
// It costs one query for each datacenter, whatever changes, and one for each such
// service, which is the same one that its endpoints come from. A service that
// Consul does not name any more stays for empty_after: it may be on its way back.
// So does one that it named before weir was started, if memory is not nil: a
// datacenter that keeps silent is taken to say what it said last.
func (r *Registry) WatchServices(ctx context.Context, memory *discovery.Memory, keep func(tag string) bool, report func(map[string][]Instance)) {
	c := chorus{bell: make(chan struct{}, 1), told: map[string][]Instance{}}
	var work sync.WaitGroup
	for _, dc := range r.dcs {
		p := c.add(memory, dc)
		defer p.note.End()
		work.Go(func() {
			l := listing{query: newQuery(r, key{dc, "*"}, nil), keep: keep, missing: map[string]time.Time{}, services: p.named(keep)}
			listened := map[string]func(){}
			l.run(ctx, func(services map[string][]string) { r.listen(p, services, listened) })
			for _, leave := range listened {
				leave()
			}
		})
	}
	late := time.NewTimer(lateAfter)
	defer late.Stop()
	for ctx.Err() == nil {
		select {
		case <-c.bell:
		case <-late.C:
			c.hurry()
		case <-ctx.Done():
		}
		if news := c.take(); news != nil && ctx.Err() == nil {
			report(news)
		}
	}
	work.Wait()
}

// listen has a part hear the services that there are, and no others.
func (r *Registry) listen(p *part, services map[string][]string, listened map[string]func()) {
	for name, leave := range listened {
		if _, here := services[name]; !here {
			leave()
			delete(listened, name)
		}
	}
	p.list(services)
	for name := range services {
		if listened[name] == nil {
			s := &subscriber{hear: func(all []Instance) { p.hear(name, all) }}
			q := r.join(key{p.dc, name}, s)
			listened[name] = func() { r.leave(q, s) }
		}
	}
}

// A listing asks one datacenter for its services. The query in it stands for it
// where queries are counted.
type listing struct {
	*query
	keep     func(tag string) bool
	services map[string][]string  // that stand
	answered bool                 // once
	missing  map[string]time.Time // those of them that are not named, since when
}

func (l *listing) run(ctx context.Context, report func(map[string][]string)) {
	defer l.dc.gone(l.query)
	defer l.leaveTurns()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		wait := l.wait(time.Now())
		named, meta, err := l.list(ctx, wait)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			l.leavePlace()
			l.dc.failed(l.query, err, wait > 0)
			l.index, l.waited = 0, false
			clear(l.missing) // who comes back knowing nothing is doubted anew
			l.failures++
			timer.Reset(backoff(l.failures))
			continue
		}
		news := l.take(named, meta, time.Now())
		l.dc.answered(l.query, news)
		l.failures, l.waited = 0, l.waited || wait > 0
		if news {
			report(l.services)
		}
		if l.polls && !l.place {
			timer.Reset(jittered(l.dc.turns.pause()))
		} else {
			timer.Reset(jittered(spacing))
		}
	}
}

// list asks once.
func (l *listing) list(ctx context.Context, wait time.Duration) (map[string][]string, *api.QueryMeta, error) {
	token, err := l.dc.token()
	if err != nil {
		return nil, nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, wait*17/16+answerWithin)
	defer cancel()
	options := &api.QueryOptions{Datacenter: l.dc.name, AllowStale: l.dc.cfg.AllowStale, Token: token}
	if wait > 0 {
		options.WaitIndex, options.WaitTime = l.index, wait
	}
	named, meta, err := l.dc.client.Catalog().Services(options.WithContext(ctx))
	switch {
	case err != nil:
		return nil, nil, fmt.Errorf("cannot ask which services there are: %w", err)
	case meta.LastIndex == 0:
		return nil, nil, errNoIndex
	case len(named) == 0 && meta.ResultsFilteredByACLs:
		return nil, nil, denied(readable("service", ""))
	}
	if things := l.needs(named); len(things) > 0 {
		err = l.dc.mayRead(ctx, token, l.dc.name, things...)
	}
	return named, meta, err
}

// needs are what a token must be able to read for the answer to be believed: the
// services that it does not name any more. One without any is at least without
// Consul itself, and that is there as a rule.
func (l *listing) needs(named map[string][]string) (things []thing) {
	for name := range l.services {
		if _, here := named[name]; !here {
			things = append(things, readable("service", name))
		}
	}
	if len(named) == 0 && !l.answered && len(things) == 0 {
		things = []thing{readable("service", "")}
	}
	return things
}

// take makes an answer what stands, and tells whether that changed something.
func (l *listing) take(named map[string][]string, meta *api.QueryMeta, now time.Time) (news bool) {
	backwards := meta.LastIndex < l.highest
	l.index, l.highest = meta.LastIndex, meta.LastIndex
	if backwards {
		l.index = 0
	}
	next := make(map[string][]string, len(l.services))
	for name, tags := range named {
		if kept := slices.DeleteFunc(slices.Clone(tags), func(tag string) bool { return !l.keep(tag) }); len(kept) > 0 {
			slices.Sort(kept)
			next[name] = kept
		}
	}
	l.due = time.Time{}
	for name, tags := range l.services {
		if _, here := named[name]; here {
			delete(l.missing, name)
			continue
		}
		if l.missing[name].IsZero() {
			l.missing[name] = now
		}
		until := l.missing[name].Add(l.dc.cfg.EmptyAfter)
		if !now.Before(until) {
			delete(l.missing, name)
			continue
		}
		next[name] = tags
		if l.due.IsZero() || until.Before(l.due) {
			l.due = until
		}
	}
	news = !l.answered || !maps.EqualFunc(l.services, next, slices.Equal)
	l.services, l.answered = next, true
	return news
}
