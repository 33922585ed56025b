package config

import "time"

// ColdStart says how a function is raised from nothing and put back.
type ColdStart struct {
	// Scaler is the name, under scalers, of what raises instances. Empty:
	// nothing does, the endpoints are all there is.
	Scaler string `yaml:"scaler"`
	// MaxWait is how long a call is held at most. Beyond it 503. 0 is adaptive:
	// 3.5 times the 90th percentile of the last 20 starts, but 10 s at least and
	// 60 s at most, and 60 s while no start is known. A fixed wait is too short
	// for one function and too long for the next. timeouts.request, 15 s, ends
	// the wait too.
	MaxWait time.Duration `yaml:"max_wait" default:"0s"`
	// MaxPending is how many calls may wait for this function. Beyond it the
	// line is longer than anyone's patience: 1000 at 10 ms each is 10 s.
	MaxPending int `yaml:"max_pending" default:"1000"`
	// OverloadOrder is who goes next, of one priority and tenant, while they are late: the
	// call that has waited longest has used up half of the time it may be held.
	// fifo: that one, as ever. lifo: the newest, so that those who are served are
	// served soon, and those who cannot be run out of time; but every ninth is
	// the one that has waited longest.
	OverloadOrder string `yaml:"overload_order" default:"fifo" enum:"fifo,lifo"`
	// Concurrency is how many calls one instance takes at once; 0 is no
	// limit.
	Concurrency int `yaml:"concurrency" default:"0"`
	// MinScale is how many instances run even if nobody calls.
	MinScale int `yaml:"min_scale" default:"0"`
	// MaxScale is how many instances may run.
	MaxScale int `yaml:"max_scale" default:"1"`
	// ActivationScale is how many instances a start from nothing asks for at
	// least.
	ActivationScale int `yaml:"activation_scale" default:"1"`
	// PreferWarmRegion sends a call of this region, while no instance is up here, to
	// a region that has some, if its answer is there sooner so, and starts an
	// instance here meanwhile. Then this region has its share back by slow_start.
	// regions.*.overflow_percent bounds it. Without it instances elsewhere are like
	// instances here: as long as there are any, a call starts nothing.
	PreferWarmRegion bool `yaml:"prefer_warm_region" default:"false"`
	// Placement says, among several routers (peers), who starts the function's
	// instances. each_router: each for the calls that it has, so that a function which
	// is called now and then is cold on most of them. one_router: that one which its
	// name and theirs point to. The others hand it their calls at once, but no more at
	// once than one instance takes (concurrency, 10 if it has no limit): beyond that
	// they start their own, and keep their calls as long as one is up. If it cannot be
	// reached, the next one holds the function. min_scale, schedule and predict are the
	// holder's then. Peers have to be trusted_proxies of one another, and speak HTTP.
	Placement string `yaml:"placement" default:"each_router" enum:"each_router,one_router"`
	// IdleAfter is how long after the last byte of the last call the function
	// is put back to min_scale. 0 is never.
	IdleAfter time.Duration `yaml:"idle_after" default:"5m"`
	// MinUp is how long an instance runs at least. Without it, the smaller
	// of 30 s and idle_after.
	MinUp time.Duration `yaml:"min_up"`
	// ReadyPath is what a new instance is asked for by GET before it has its first
	// call: ready is who answers 2xx.
	ReadyPath string `yaml:"ready_path"`
	// ReadyProbe is how weir finds out that a new instance is ready, from the moment
	// on at which it knows the address. tcp: it accepts a connection. http: it
	// answers ready_path with 2xx; the default where that is given. none: its
	// platform says where it is, and that is enough. A call that is refused there
	// goes back to the head of the line, and weir connects until somebody listens.
	ReadyProbe string `yaml:"ready_probe" default:"tcp" enum:"tcp,http,none"`
	// StartTimeout is how long a start may take before it counts as failed.
	StartTimeout time.Duration `yaml:"start_timeout" default:"60s"`
	// Grace is how long idle instances stay after the last endpoint was taken
	// out, before they are stopped: a call that comes meanwhile gets them back
	// at once, without a start.
	Grace time.Duration `yaml:"grace" default:"100ms"`
	// PreStopCheck asks instances whether they are done before they are
	// stopped.
	PreStopCheck *PreStopCheck `yaml:"pre_stop_check"`
	// IdleMode says what becomes of an instance that nobody needs: stop ends it,
	// pause keeps it in memory without running, and throttle keeps it running with a
	// hundredth of a processor, so that its connections and timers live on. From
	// both, the next start is over in milliseconds. Processes are throttled by cgroup
	// v2; where there is none the log says so, and they are stopped instead.
	IdleMode string `yaml:"idle_mode" default:"stop" enum:"stop,pause,throttle"`
	// ColdHeader tells clients in X-Weir-Cold whether the call was held, an instance
	// was there, or one in another region: held, hit, overflow.
	ColdHeader bool `yaml:"cold_header" default:"true"`
	// ServerTiming tells clients in Server-Timing how long the call was held
	// and how long the start took. Off, because it shows what is behind weir.
	ServerTiming bool `yaml:"server_timing" default:"false"`
	// Schedule are windows of time in which the function is up, called or not.
	Schedule []Schedule `yaml:"schedule"`
	// Chain names functions that this one calls. When a visit of it begins, those
	// of them that are down are raised side by side, and not one after the other
	// as their calls come.
	Chain []string `yaml:"chain"`
	// Predict lets weir raise the function before it is called and decide how
	// long it stays up: "histogram" goes by the gaps between its visits, and by
	// what has been called just before. While that says nothing, idle_after
	// holds. Off by default, because idle_after is a promise that only the
	// operator may take back. It does nothing where idle_after is 0 or min_scale
	// is not: such a function is always up.
	Predict string `yaml:"predict" default:"off" enum:"off,histogram"`
	// PredictRange is the longest gap between visits that predict looks at
	// closely, in 240 buckets, and a tenth less than the longest it keeps the
	// function up for.
	PredictRange time.Duration `yaml:"predict_range" default:"4h"`
}

// KeepsIdle tells whether instances that nobody needs are kept in reserve.
func (c *ColdStart) KeepsIdle() bool { return c.IdleMode == "pause" || c.IdleMode == "throttle" }

// VisitGap is how long nobody has been inside the function when a call begins
// another visit of it: 5 s at the default range, a twelfth of a bucket.
func (c *ColdStart) VisitGap() time.Duration { return c.PredictRange / (240 * 12) }

// A Schedule is a window of time that comes again. Where windows overlap, the
// one that wants the most instances holds.
type Schedule struct {
	// Cron says when it opens: minute, hour, day of month, month, day of week. A
	// moment that the clocks skip is when they skip it; of one that they show
	// twice it is the first, unless the hour is *.
	Cron string `yaml:"cron"`
	// Duration is how long it is open, in time that passes, whatever the clocks
	// do meanwhile.
	Duration time.Duration `yaml:"duration"`
	// Timezone of cron, by its IANA name. UTC by default, so that a file means
	// the same on every machine.
	Timezone string `yaml:"timezone" default:"UTC"`
	// Instances are how many run at least while it is open. Like min_scale, they
	// are no prediction and count against no budget.
	Instances int `yaml:"instances" default:"1"`
}

// A PreStopCheck is a GET to every instance of an idle function, once no call
// can get onto it. A 2xx is yes, stop me; 409 and 503 are no, not yet: the
// instances are kept for another idle_after. One that does not answer in time
// is kept twice, then stopped. Any other answer, or none because nobody is
// there, is no reason to keep it.
type PreStopCheck struct {
	// Path to ask.
	Path string `yaml:"path"`
	// Timeout is how long the instances may think about it.
	Timeout time.Duration `yaml:"timeout" default:"2s"`
}

// ColdStartLimits bound what all functions together may do.
type ColdStartLimits struct {
	// MaxPending is how many calls may be held at once, over all functions. One
	// function may hold no more than are still free, or 16: alone half of them,
	// two a third each. So a flood for one never keeps the others out.
	MaxPending int `yaml:"max_pending" default:"10000"`
	// MaxBytes is how much memory the heads, and what has come of the bodies, of
	// held calls may take. The rest of a body stays with its client. 10,000
	// calls with usual heads take 40 MiB. 0 is no limit.
	MaxBytes Size `yaml:"max_bytes" default:"256MiB"`
	// MaxStarting is how many instances may be starting at once, over all
	// functions: with more, each takes so long that nobody waits for it. 32 that
	// need 100 ms of a processor each take 1.6 s on two. Those that nobody waits
	// for are 4 at most, and wait for those that somebody does. 0 is no limit.
	MaxStarting int `yaml:"max_starting" default:"32"`
	// MaxPrewarmed is how many instances may be up, or on their way, on a
	// prediction that has not come true yet, over all functions: what being wrong
	// everywhere at once costs. 16 of 128 MiB are 2 GiB. 0 is none: nothing is
	// raised by predict or chain. Schedules do not count.
	MaxPrewarmed int `yaml:"max_prewarmed" default:"16"`
	// MaxWatching is how many waiting pages may be told at once how far a start
	// is, over all functions. One takes a connection and about 12 KiB, and no
	// place in line. Those beyond come back by themselves, untold.
	MaxWatching int `yaml:"max_watching" default:"1000"`
}
