package bench

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
)

// Run does what the load says and reports what it saw. An error is one of the
// load or of the beginning; what goes wrong later stands in the report. When
// ctx ends the run ends early, which is a note in the report.
func Run(ctx context.Context, l Load, watch func(Progress)) (*Report, error) {
	if err := l.complete(); err != nil {
		return nil, err
	}
	target, err := l.render()
	if err != nil {
		return nil, err
	}
	at, err := resolve(target, l.Owned)
	if err != nil {
		return nil, err
	}
	if err := needFiles(l.Connections); err != nil {
		return nil, err
	}
	// A worker may keep its processor for half a millisecond; the rest of us
	// must not wait for it.
	if procs := l.Workers + 1; runtime.GOMAXPROCS(0) < procs {
		defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(procs))
	}
	tape := newTape(l.Workers)
	workers := make([]*worker, l.Workers)
	for i := range workers {
		workers[i] = newWorker(&l, at, i, tape)
	}
	r := &Report{Target: target.String(), Load: l.describe(), Began: time.Now()}
	began, err := launch(ctx, &l, workers, tape, watch)
	if err != nil {
		return nil, err
	}
	r.Began = began
	r.fill(&l, workers, tape, time.Since(began)) // on the monotonic clock
	// Round takes the monotonic reading away: what is left is what the clock on
	// the wall says.
	if step := time.Now().Round(0).Sub(began.Round(0)) - time.Since(began); step.Abs() > 20*time.Millisecond {
		r.notef("the clock of this machine was moved by %s; latencies are of the monotonic clock and stay right", step.Round(time.Millisecond))
	}
	if ctx.Err() != nil {
		r.notef("stopped after %s of %s", r.Took.Round(time.Millisecond), l.Duration)
	}
	return r, nil
}

// launch opens all connections, then lets all workers begin at one moment.
func launch(ctx context.Context, l *Load, workers []*worker, t *tape, watch func(Progress)) (zero time.Time, err error) {
	birth := time.Now()
	var start time.Time // of the measurement, set before any worker passes the gate
	opened, gate := make(chan error), make(chan struct{})
	var g errgroup.Group
	for _, w := range workers {
		g.Go(func() error {
			defer lockThread()()
			w.clock = func() time.Duration { return time.Since(birth) }
			err := w.open(ctx)
			opened <- err
			<-gate
			if err != nil || start.IsZero() {
				w.abandon()
				return nil // told already
			}
			w.clock = func() time.Duration { return time.Since(start) }
			return w.run(ctx)
		})
	}
	for range workers {
		err = errors.Join(err, <-opened)
	}
	if err == nil {
		start = time.Now().Add(l.Warmup)
	}
	close(gate)
	if err != nil {
		_ = g.Wait()
		return start, err
	}
	stop := watching(l, t, start, watch)
	err = g.Wait()
	stop()
	return start, err
}

// needFiles makes room for the descriptors that the connections need.
func needFiles(connections int) error {
	need := uint64(connections) + 64
	var l unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &l); err != nil {
		return fmt.Errorf("the limit of open files: %w", err)
	}
	if l.Cur >= need {
		return nil
	}
	want := unix.Rlimit{Cur: need, Max: max(l.Max, need)} // the hard limit moves for root only
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &want); err == nil {
		return nil
	}
	return fmt.Errorf("%d connections need %d file descriptors, and the limit is %d: raise it (ulimit -Hn %d) or ask for %d connections at most",
		connections, need, l.Max, need, l.Max-64)
}

// fill merges what the workers have seen.
func (r *Report) fill(l *Load, workers []*worker, t *tape, took time.Duration) {
	all := newRecord(len(l.Kinds), t)
	r.Took = min(took, l.Duration)
	var busiest time.Duration
	for _, w := range workers {
		all.merge(w.record)
		r.Client.CPU += w.cpu
		r.Client.Waited += w.blocked
		busiest = max(busiest, w.cpu)
		if w.gone {
			r.Died = true
			r.notef("the target was gone: from %s on it took no connection (%s)", w.refusedFrom.Round(time.Millisecond), w.reason)
		} else if w.reason != "" && all.outcomes[refused] > 0 {
			r.notef("connections failed, the last with: %s", w.reason)
		}
	}
	r.Seconds = t.all()
	r.Warmup, r.Bytes = all.warming, all.bytes
	for i, n := range all.outcomes {
		r.Calls += n
		if n > 0 {
			r.Outcomes = set(r.Outcomes, outcomeNames[i], n)
		}
	}
	for code, n := range all.statuses {
		if n > 0 {
			r.Statuses = set(r.Statuses, fmt.Sprint(code), n)
			if code >= 500 {
				r.Failed += n
			}
		}
	}
	r.Failed += r.Calls - all.outcomes[answered]
	if r.Took > 0 {
		r.Rate = float64(all.outcomes[answered]) / r.Took.Seconds()
	}
	corrected := all.corrected
	if len(l.Steps) == 0 {
		corrected = stalls(all.uncorrected, time.Duration(all.uncorrected.ValueAtQuantile(50)))
	} else {
		r.Client.Late = digest(all.late)
		r.Offered = expected(l.Steps, r.Took) / r.Took.Seconds()
	}
	r.Corrected, r.Uncorrected = digest(corrected), digest(all.uncorrected)
	for i, k := range all.kinds {
		r.Kinds = append(r.Kinds, KindReport{Name: l.Kinds[i].Name, Calls: k.calls, Failed: k.failed, Latency: digest(k.latency)})
	}
	if n := r.Calls + r.Warmup; n > 0 {
		r.Client.PerCall = r.Client.CPU / time.Duration(n)
		if r.Client.PerCall > 0 && len(l.Steps) == 0 { // waiting for the next time costs too
			r.Client.MostRate = float64(time.Second) / float64(r.Client.PerCall) * float64(l.Workers)
		}
	}
	r.honesty(l, busiest, took+l.Warmup)
}

// honesty says when it was this client, not the target, that was the limit.
func (r *Report) honesty(l *Load, busiest, took time.Duration) {
	if took > 0 && float64(busiest) > 0.9*float64(took) {
		r.ClientLimited = true
		r.notef("this client was the limit: it used %.0f %% of its core. Give it more workers, a machine of its own, or a lower rate", 100*float64(busiest)/float64(took))
	}
	if late := r.Client.Late; late.Count > 0 && late.P99 > max(time.Millisecond, r.Uncorrected.P99/10) {
		r.ClientLimited = true
		r.notef("this client was late: one call in a hundred was sent %s or more after its time though a connection was free, which stands in the corrected latencies. The machine is busy, or the rate too high", brief(late.P99))
	}
	if n := r.Outcomes["unsent"]; n > 0 {
		r.notef("%d calls were due and found no free connection in time: the target was slower than the rate, or %d connections are too few", n, l.Connections)
	}
	if r.Failed > 0 && r.Calls > 0 {
		r.notef("%.3g %% of the calls failed", 100*float64(r.Failed)/float64(r.Calls))
	}
	slices.Sort(r.Notes)
	r.Notes = slices.Compact(r.Notes)
}

func (r *record) merge(other *record) {
	for i, n := range other.outcomes {
		r.outcomes[i] += n
	}
	for i, n := range other.statuses {
		r.statuses[i] += n
	}
	r.bytes += other.bytes
	r.warming += other.warming
	r.corrected.Merge(other.corrected)
	r.uncorrected.Merge(other.uncorrected)
	r.late.Merge(other.late)
	for i, k := range other.kinds {
		r.kinds[i].calls += k.calls
		r.kinds[i].failed += k.failed
		r.kinds[i].latency.Merge(k.latency)
	}
}

// expected is how many calls are due by a time.
func expected(steps []Step, by time.Duration) (n float64) {
	for _, s := range steps {
		t := min(by, s.For).Seconds()
		n += s.From*t + (s.To-s.From)/s.For.Seconds()*t*t/2
		by -= min(by, s.For)
	}
	return n
}

func set(m map[string]int64, key string, n int64) map[string]int64 {
	if m == nil {
		m = map[string]int64{}
	}
	m[key] += n
	return m
}
