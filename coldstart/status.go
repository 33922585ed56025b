package coldstart

import "time"

// Status is an Activation at one moment.
type Status struct {
	State string    // cold, starting, warm, draining
	Phase string    // the same, and while starting: queued, provision, boot
	Since time.Time // when it came into that state

	ETA      time.Duration // how long a start usually takes: the median of the last 20; 0 when none is known
	Service  time.Duration // how long the first call then takes: in the same way
	Patience time.Duration // how long it makes sense to be held for one
	Took     time.Duration // by the last one that went well

	Start    StartID   // the one under way, or that has raised what is up; zero if none has
	Trigger  string    // of the last start: demand, min_scale, schedule, ...
	Failures int       // requests and starts that failed in a row
	Opens    time.Time // no start before this moment
}

// Wait tells how long a call has to wait for an instance, as far as that is
// known.
func (s Status) Wait(now time.Time) (d time.Duration, known bool) {
	switch {
	case s.State == "warm":
		return 0, true
	case s.ETA == 0:
		return 0, false
	case s.State == "starting":
		return max(s.ETA-now.Sub(s.Since), 0), true
	}
	return s.ETA + max(s.Opens.Sub(now), 0), true
}

// Breaker is the door as a circuit breaker has it: 0 closed (all is well), 1
// half-open (the next start decides), 2 open (no start is tried).
func (s Status) Breaker(now time.Time) int {
	return door{failures: s.Failures, opens: s.Opens}.state(now)
}

// Status tells where the activation is.
func (c *Activation) Status() Status { return *c.status.Load() }

func (c *Activation) publish() {
	c.status.Store(&Status{
		State: c.state.String(), Phase: c.phase(), Since: c.since,
		ETA: c.usual.quantile(.5), Service: c.service.quantile(.5), Patience: c.usual.patience(), Took: c.took,
		Start: c.phases.ID, Trigger: c.trigger, Failures: c.door.failures, Opens: c.door.opens,
	})
	c.WakeAudience()
}

func (c *Activation) phase() string {
	switch {
	case c.state != starting:
		return c.state.String()
	case !c.begun:
		return "queued"
	case c.phases.Provision == 0:
		return "provision"
	}
	return "boot"
}
