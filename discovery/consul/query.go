package consul

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/consul/api"

	"github.com/weir-gateway/weir/discovery"
)

const (
	// waitMost is how long a query waits at the agent for a change. It bounds
	// how late a hung agent is noticed.
	waitMost = time.Minute
	// waitFirst is how long a query waits the first time, and while the agent
	// lets fewer in than want to: those without a place wait for it to end.
	waitFirst = 5 * time.Second
	// answerWithin is what a query may take beyond its wait.
	answerWithin = 10 * time.Second
	// spacing lies between an answer that came at once and said nothing new and the
	// next query, and up to half of it more. After a change that is a pace's.
	spacing = 100 * time.Millisecond
	// confirmAfter is when the leader is asked whether there is really nobody.
	confirmAfter = time.Second
	// Failures are tried again after retryFirst, doubled up to retryMost.
	retryFirst = 250 * time.Millisecond
	retryMost  = 5 * time.Second
)

var errNoIndex = errors.New("the answer has no index: this is no agent of Consul")

// A query asks about one service in one datacenter, again and again.
type query struct {
	key
	cancel context.CancelFunc
	over   chan struct{} // closed when run has returned

	// run's own.
	index    uint64 // to wait for a change of; 0: be told at once
	highest  uint64 // the last one that was seen
	failures int    // in a row
	place    bool   // it may wait at the agent
	polls    bool   // it has asked for a place in vain
	waited   bool   // it has waited at the agent and was answered
	confirm  bool   // the next one goes to the leader
	due      time.Time
	guard    guard
	lives    lives

	mu          sync.Mutex // guards all below
	subscribers map[*subscriber]struct{}
	set         []instance
	known       bool // there was an answer
	guarded     bool // some of set stand although Consul does not name them
	voices      []Instance
	refused     []discovery.Refusal // instances, or what of them, by the last answer
}

func newQuery(r *Registry, k key, cancel context.CancelFunc) *query {
	return &query{
		key: k, cancel: cancel, over: make(chan struct{}), subscribers: map[*subscriber]struct{}{},
		guard: guard{after: r.cfg.EmptyAfter}, lives: lives{window: r.cfg.ProbeNew},
	}
}

// run asks until ctx ends.
func (q *query) run(ctx context.Context) {
	defer q.dc.gone(q)
	defer q.leaveTurns()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		timer.Reset(q.ask(ctx))
	}
}

// leavePlace gives the place back for which there is no use now.
func (q *query) leavePlace() {
	if q.place {
		q.dc.turns.give()
		q.place = false
	}
}

func (q *query) leaveTurns() {
	if q.place {
		q.dc.turns.give()
	} else if q.polls {
		q.dc.turns.stop()
	}
}

// ask is one query and what follows from it. It returns how long to rest.
func (q *query) ask(ctx context.Context) (rest time.Duration) {
	began := time.Now()
	wait := q.wait(began)
	entries, meta, err := q.fetch(ctx, wait)
	switch {
	case ctx.Err() != nil:
		return 0
	case err != nil:
		q.leavePlace()
		q.dc.failed(q, err, wait > 0)
		q.index, q.waited = 0, false // who knows what it was told meanwhile
		q.failures++
		return backoff(q.failures)
	}
	now := time.Now()
	news := q.take(entries, meta, now)
	q.dc.answered(q, news)
	q.failures, q.waited = 0, q.waited || wait > 0
	switch {
	case q.confirm:
		return confirmAfter
	case q.polls && !q.place:
		return jittered(q.dc.turns.pause())
	case q.place && !news && wait > 0 && q.dc.turns.wanted():
		q.leavePlace()
		return 0
	case news:
		return jittered(q.dc.pace.rest(now))
	case now.Sub(began) < spacing:
		return jittered(spacing)
	}
	return 0
}

// wait decides how long the next query waits for a change; 0 is not at all.
func (q *query) wait(now time.Time) time.Duration {
	if q.index == 0 || q.confirm {
		return 0
	}
	if !q.place {
		q.place = q.dc.turns.take(q.polls)
		q.polls = !q.place
	}
	if !q.place {
		return 0
	}
	most := waitMost
	if !q.waited || q.dc.turns.tight(now) {
		most = waitFirst
	}
	if q.due.IsZero() {
		return most
	}
	return min(max(q.due.Sub(now), 0), most)
}

// fetch asks once. An answer of a server that has not heard from its leader for
// too long does not count: then the leader is asked.
func (q *query) fetch(ctx context.Context, wait time.Duration) ([]*api.ServiceEntry, *api.QueryMeta, error) {
	cfg := q.dc.cfg
	stale := cfg.AllowStale && !q.confirm
	entries, meta, err := q.fetchFrom(ctx, wait, stale)
	if err == nil && stale && cfg.MaxStale > 0 && meta.LastContact > cfg.MaxStale {
		entries, meta, err = q.fetchFrom(ctx, 0, false)
	}
	return entries, meta, err
}

func (q *query) fetchFrom(ctx context.Context, wait time.Duration, stale bool) ([]*api.ServiceEntry, *api.QueryMeta, error) {
	token, err := q.dc.token()
	if err != nil {
		return nil, nil, err
	}
	if wait == 0 { // stands in line here, where no time-out runs
		select {
		case q.dc.turns.quick <- struct{}{}:
			defer func() { <-q.dc.turns.quick }()
		case <-ctx.Done():
			return nil, nil, ctx.Err()
		}
	}
	ctx, cancel := context.WithTimeout(ctx, wait*17/16+answerWithin) // the agent adds up to a sixteenth
	defer cancel()
	options := &api.QueryOptions{Datacenter: q.dc.name, AllowStale: stale, Token: token}
	if wait > 0 {
		options.WaitIndex, options.WaitTime = q.index, wait
	}
	entries, meta, err := q.dc.client.Health().Service(q.service, "", false, options.WithContext(ctx))
	switch {
	case err != nil:
		return nil, nil, fmt.Errorf("cannot ask for service %q: %w", q.service, err)
	case meta.LastIndex == 0:
		return nil, nil, errNoIndex
	case len(entries) == 0 && meta.ResultsFilteredByACLs:
		return nil, nil, denied(readable("service", q.service))
	case len(entries) == 0 && (!q.known || len(q.set) > 0):
		err = q.dc.mayRead(ctx, token, q.dc.name, q.needs()...)
	}
	return entries, meta, err
}

// needs are what a token must be able to read for the query to be answered.
func (q *query) needs() []thing {
	things := []thing{readable("service", q.service)}
	if len(q.set) > 0 {
		things = append(things, readable("node", q.set[0].node))
	}
	return things
}

// take makes an answer the set, as far as it is believed, and tells whether
// that changed something.
func (q *query) take(entries []*api.ServiceEntry, meta *api.QueryMeta, now time.Time) (news bool) {
	backwards := meta.LastIndex < q.highest
	doubt := backwards || q.failures > 0 || !meta.KnownLeader
	q.index, q.highest = meta.LastIndex, meta.LastIndex
	if backwards {
		q.index = 0 // what it counts is another's history
	}
	seen, refused := q.dc.read(entries, q.service)
	named, due := q.lives.pick(seen, now)
	set, guarded := q.guard.pass(q.set, named, seen, doubt, now)
	q.confirm = q.guard.confirm
	if guarded && !q.guard.until.IsZero() && (due.IsZero() || q.guard.until.Before(due)) {
		due = q.guard.until
	}
	q.due = due
	if len(set) == 0 && len(q.set) > 0 {
		q.dc.log.Warn("consul names nobody any more, and is believed", "datacenter", q.dc.name, "service", q.service, "endpoints", len(q.set))
	}
	var voices []Instance
	if q.dc.cfg.TagRoutes {
		voices = speak(seen, set)
	}
	return q.publish(set, guarded, voices, refused)
}

// publish tells the subscribers of a set.
func (q *query) publish(set []instance, guarded bool, voices []Instance, refused []discovery.Refusal) (news bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	news = !q.known || !slices.EqualFunc(q.set, set, sameInstance)
	speaks := !q.known || !sameInstances(q.voices, voices)
	q.set, q.known, q.guarded, q.voices, q.refused = set, true, guarded, voices, refused
	if speaks {
		for s := range q.subscribers {
			if s.hear != nil {
				s.hear(voices)
			}
		}
	}
	if news {
		for s := range q.subscribers {
			s.tell(set)
		}
	}
	return news
}

func (q *query) add(s *subscriber) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.subscribers[s] = struct{}{}
	if q.known {
		s.tell(q.set)
		if s.hear != nil {
			s.hear(q.voices)
		}
	}
}

// remove takes a subscriber out, and tells whether it was the last.
func (q *query) remove(s *subscriber) (last bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	delete(q.subscribers, s)
	return len(q.subscribers) == 0
}

func backoff(failures int) time.Duration {
	d := retryMost
	if failures < 10 {
		d = min(retryFirst<<(failures-1), retryMost)
	}
	return d/2 + rand.N(d/2)
}

func jittered(d time.Duration) time.Duration { return d + rand.N(d/2) }
