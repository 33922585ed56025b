package table

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weir-gateway/weir/config"
	"github.com/weir-gateway/weir/internal/moment"
	"github.com/weir-gateway/weir/shaping"
)

// Resilience is the part of a function's State that remembers failures.
type Resilience struct {
	Calls   shaping.Calls   // where there is a budget of them
	Budget  shaping.Budget  // how many tries may follow a first one
	Breaker shaping.Breaker // turns tries away after too many failures

	Hedges  shaping.Budget   // how many tries may go beside another
	Slowest shaping.Quantile // how long tries take, where they are hedged by that

	hedged [2]atomic.Int64 // second tries that lost, and that won

	ejecting sync.Mutex // one decision at a time, or more than may be would be set aside
	ejected  [numReasons]atomic.Int64
	checks   [2]atomic.Int64 // of health: those that failed, and those that did not
	log      *slog.Logger    // nil in tests
}

// HealthChecks is how many health checks of the endpoints were passed and not.
func (r *Resilience) HealthChecks() (well, failed int) {
	return int(r.checks[1].Load()), int(r.checks[0].Load())
}

// HedgesEnded is how many second tries had the first answer, and how many had not.
func (r *Resilience) HedgesEnded() (won, lost int) {
	return int(r.hedged[1].Load()), int(r.hedged[0].Load())
}

// HedgeEnded counts a second try.
func (r *Resilience) HedgeEnded(won bool) {
	if won {
		r.hedged[1].Add(1)
	} else {
		r.hedged[0].Add(1)
	}
}

func (r *Resilience) checked(well bool) {
	if well {
		r.checks[1].Add(1)
	} else {
		r.checks[0].Add(1)
	}
}

// A Reason is why an endpoint was set aside.
type Reason uint8

// The reasons, as a metric's label.
const (
	Connection  Reason = iota // no connection stood, or it broke
	Consecutive               // failures in a row, by the operator's rules
	numReasons
)

// String names the reason as a metric's label.
func (r Reason) String() string { return [...]string{"connection", "consecutive_5xx"}[r] }

// Reasons are all there are.
func Reasons() []Reason { return []Reason{Connection, Consecutive} }

// Ejections is how often endpoints were set aside for a reason.
func (r *Resilience) Ejections(why Reason) int { return int(r.ejected[why].Load()) }

// tell logs the changes of the Breaker's state.
func (r *Resilience) tell(function string, log *slog.Logger) {
	r.log = log
	r.Breaker.Tell(func(to int, cause string) {
		level := slog.LevelInfo
		if to == shaping.Open {
			level = slog.LevelWarn
		}
		log.Log(context.Background(), level, "circuit", "function", function, "state", [...]string{"closed", "half_open", "open"}[to], "cause", cause)
	})
}

// Answered says how long an answer took that came at the moment now, where the limit
// of calls in flight goes by that.
func (f *Function) Answered(took time.Duration, now moment.Moment) {
	limit, changed := f.Adaptive.Note(took, f.Places.InFlight(), now)
	if !changed {
		return
	}
	f.Places.SetLimit(limit)
	for newer := f.Adaptive.Limit(); newer != limit; newer = f.Adaptive.Limit() { // somebody was quicker, and is overwritten
		limit = newer
		f.Places.SetLimit(limit)
	}
	f.Hold.Wake(f.Places.Free())
}

// limit sets how many calls may be in flight.
func (f *Function) limit() {
	limit := f.Concurrency.MaxRequests
	if f.Adaptive != nil {
		f.Adaptive.SetBounds(f.Concurrency.Adaptive.MinRequests, greatestLimit(f.Concurrency))
		limit = f.Adaptive.Limit()
	} else if f.adaptive != nil { // a call from before may still set what it says
		f.adaptive.SetBounds(limit, limit)
	}
	// Those in flight since before there was a limit have no place.
	f.places.SetLimit(limit)
}

// firstLimit is what an adaptive limit begins with, and mostLimit what it is at most
// where the operator says nothing.
const (
	firstLimit = 20
	mostLimit  = 10_000
)

func greatestLimit(c config.Concurrency) int {
	if c.MaxRequests > 0 {
		return c.MaxRequests
	}
	return mostLimit
}

// Broke says that no connection to an endpoint stood, or that it broke before an
// answer.
func (f *Function) Broke(ep *Endpoint, now moment.Moment) {
	if ep.Outlier.Failed(now) {
		f.ejected[Connection].Add(1)
		f.Shaken()
	}
	ep.Link.Slots.Failed()
}

// Outran says that a second try beside one at an endpoint had the answer first.
func (f *Function) Outran(ep *Endpoint, now moment.Moment) {
	if ep.Outrun.Lost(now) && f.log != nil {
		f.log.Info("endpoint asked last", "function", f.Name, "endpoint", ep.ID, "address", ep.Addr,
			"cause", "hedged calls in a row were answered elsewhere first")
	}
}

// Fared says, where the operator has rules for outliers, whether a try brought
// what it should; an endpoint that failed too often is set aside, if not too many
// are already.
func (f *Function) Fared(ep *Endpoint, well bool, now moment.Moment) {
	rules := f.OutlierDetection
	if !ep.Outlier.Answered(well, rules, now) {
		return
	}
	f.ejecting.Lock()
	defer f.ejecting.Unlock()
	set := f.Set()
	aside := 1
	for _, other := range set.Endpoints {
		if other.Outlier.EjectedByRule(now) {
			if other.Link == ep.Link {
				return // another call was faster
			}
			aside++
		}
	}
	if aside*100 > len(set.Endpoints)*rules.MaxEjectionPercent {
		return
	}
	d := ep.Outlier.Eject(rules, now)
	f.ejected[Consecutive].Add(1)
	f.Shaken()
	if f.log != nil {
		f.log.Warn("endpoint ejected", "function", f.Name, "endpoint", ep.ID, "address", ep.Addr, "for", d.String(),
			"cause", "failures in a row", "failures", rules.Consecutive5xx)
	}
}
