package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
)

// A story is a scenario that is under way.
type story struct {
	*Scenario
	endpoints map[string]*Endpoint
	weir      *program
	url       string
	admin     string
}

// Play starts what the scenario needs, lets it happen, and judges: the broken
// thresholds are the second result.
func (s *Scenario) Play(ctx context.Context, weir string, watch func(Progress)) (r *Report, broken []string, err error) {
	dir, err := os.MkdirTemp("", "weir-bench-")
	if err != nil {
		return nil, nil, err
	}
	defer os.RemoveAll(dir)
	st := &story{Scenario: s, endpoints: map[string]*Endpoint{}}
	defer st.end()
	if err := st.begin(ctx, weir, dir); err != nil {
		return nil, nil, err
	}
	switch {
	case s.Cold != nil:
		r, err = st.cold(ctx)
	case s.Knee != nil:
		r, err = st.knee(ctx)
	default:
		r, err = st.steady(ctx, watch)
	}
	if err != nil {
		return nil, nil, err
	}
	select {
	case <-st.weir.done:
		return r, nil, errors.New("weir ended in the middle: " + st.weir.said.String())
	default:
	}
	r.Load = s.name + ": " + s.About + "; " + r.Load
	broken = st.judge(r)
	for _, b := range broken {
		r.notef("threshold: %s", b)
	}
	return r, broken, nil
}

// begin starts the endpoints, then weir in front of them.
func (st *story) begin(ctx context.Context, weir, dir string) error {
	listen, err := freePort()
	if err != nil {
		return err
	}
	if st.admin, err = freePort(); err != nil {
		return err
	}
	for _, p := range st.Endpoints {
		if st.endpoints[p.Name], err = StartEndpoint("127.0.0.1:0", p.behaviour()); err != nil {
			return err
		}
	}
	doc, err := yaml.Marshal(st.config(listen, weir))
	if err != nil {
		return err
	}
	file := filepath.Join(dir, "weir.yaml")
	if err := os.WriteFile(file, doc, 0o600); err != nil {
		return err
	}
	st.url = "http://" + listen + "/"
	st.weir, err = startProgram(ctx, "weir", listen, nil, weir, "run", "-c", file)
	return err
}

func (p EndpointPlan) behaviour() Behaviour {
	return Behaviour{Name: p.Name, Delay: p.Delay, SlowShare: p.SlowPercent / 100, Slow: p.Slow, BadShare: p.BadPercent / 100}
}

// config is what weir is run with.
func (st *story) config(listen, weir string) map[string]any {
	functions, routes := map[string]any{}, []any{}
	add := func(name string, settings map[string]any) {
		f := map[string]any{}
		for _, from := range []map[string]any{settings, st.Function} {
			for k, v := range from {
				if inner, ok := v.(map[string]any); ok && f[k] != nil {
					for k2, v2 := range inner {
						f[k].(map[string]any)[k2] = v2
					}
					continue
				}
				f[k] = v
			}
		}
		functions[name] = f
		routes = append(routes, map[string]any{"path_prefix": "/" + strings.TrimPrefix(name, "all"), "function": name})
	}
	if st.Cold == nil {
		var eps []any
		for _, p := range st.Endpoints {
			ep := map[string]any{"address": st.endpoints[p.Name].Addr}
			if p.Region != "" {
				ep["region"] = p.Region
			}
			eps = append(eps, ep)
		}
		add("all", map[string]any{"endpoints": eps})
	} else {
		idle := "10m"
		if st.Cold.Cycles > 1 {
			idle = "100ms"
		}
		for i := range st.Cold.Functions {
			add(fmt.Sprintf("cold-%d", i), map[string]any{
				"cold_start": map[string]any{"scaler": "process", "max_wait": "20s", "idle_after": idle},
				"process": map[string]any{"command": []string{weir, "bench", "endpoint", "--listen", "127.0.0.1:{{port}}", "--boot", st.Cold.Boot.String()},
					"listen": "port"},
			})
		}
	}
	doc := map[string]any{
		"listeners": []any{map[string]any{"address": listen}},
		"admin":     map[string]any{"address": st.admin},
		"telemetry": map[string]any{"access_log": map[string]any{"output": "none"}},
		"scalers":   map[string]any{"process": map[string]any{"type": "process"}},
		"functions": functions,
		"routes":    routes,
	}
	if st.Regions != nil {
		doc["regions"] = st.Regions
	}
	if st.Failover != nil {
		doc["failover"] = st.Failover
	}
	return doc
}

func (st *story) end() {
	if st.weir != nil {
		st.weir.stop()
	}
	for _, e := range st.endpoints {
		e.Stop()
	}
}

// steady runs the load while the events happen.
func (st *story) steady(ctx context.Context, watch func(Progress)) (*Report, error) {
	l, err := st.Load.load(st.url)
	if err != nil {
		return nil, err
	}
	early, late := l.Duration/5, l.Duration*9/10
	events := append([]Event{}, st.Events...)
	var first, last census
	happen := make(chan error, 1)
	over, stop := context.WithCancel(ctx)
	defer stop()
	go func() {
		happen <- st.happen(over, time.Now().Add(l.Warmup), events, map[time.Duration]*census{early: &first, late: &last})
	}()
	r, err := Run(ctx, l, watch)
	stop()
	if failed := <-happen; err == nil && failed != nil && !errors.Is(failed, context.Canceled) {
		err = failed
	}
	if err != nil {
		return nil, err
	}
	if first.memory > 0 && last.memory > 0 {
		r.MemoryGrowth = 100 * (float64(last.memory)/float64(first.memory) - 1)
		r.GoroutineGrowth = last.goroutines - first.goroutines
		r.notef("weir's memory went from %s to %s, its goroutines from %.0f to %.0f", mebibytes(first.memory), mebibytes(last.memory), first.goroutines, last.goroutines)
	}
	return r, nil
}

// A census is what weir occupies.
type census struct {
	memory     int64
	goroutines float64
}

// happen lets the events happen, and counts in between.
func (st *story) happen(ctx context.Context, start time.Time, events []Event, counts map[time.Duration]*census) error {
	for len(events)+len(counts) > 0 {
		next := time.Duration(1<<63 - 1)
		if len(events) > 0 {
			next = events[0].At
		}
		for at := range counts {
			next = min(next, at)
		}
		timer := time.NewTimer(time.Until(start.Add(next)))
		select {
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		case <-timer.C:
		}
		if c := counts[next]; c != nil {
			c.memory, c.goroutines = st.weir.memory(), st.metric("go_goroutines")
			delete(counts, next)
			continue
		}
		e := events[0]
		events = events[1:]
		switch {
		case e.Kill != "":
			st.endpoints[e.Kill].Stop()
			continue
		case e.Drain+e.Undrain != "":
			if err := st.drain(ctx, e.Drain+e.Undrain, e.Drain != ""); err != nil {
				return err
			}
			continue
		}
		old := st.endpoints[e.Back]
		again, err := StartEndpoint(old.Addr, old.b)
		if err != nil {
			return err
		}
		st.endpoints[e.Back] = again
	}
	return nil
}

// cold calls functions that do not run, one after the other.
func (st *story) cold(ctx context.Context) (*Report, error) {
	c, cycles := st.Cold, max(st.Cold.Cycles, 1)
	slowest := newHistogram() // call of each start
	r := &Report{Target: st.url, Began: time.Now(), Outcomes: map[string]int64{}, Statuses: map[string]int64{}}
	for i := range c.Functions * cycles {
		name := fmt.Sprintf("cold-%d", i%c.Functions)
		if i >= c.Functions {
			if err := st.atZero(ctx, name); err != nil {
				return nil, err
			}
		}
		part, err := Run(ctx, Load{URL: st.url + name, Connections: c.Calls, Count: int64(c.Calls), Duration: time.Minute, Timeout: 30 * time.Second}, nil)
		if err != nil {
			return nil, err
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		r.Calls, r.Failed, r.Bytes = r.Calls+part.Calls, r.Failed+part.Failed, r.Bytes+part.Bytes
		for k, n := range part.Outcomes {
			r.Outcomes[k] += n
		}
		for k, n := range part.Statuses {
			r.Statuses[k] += n
		}
		note(slowest, part.Uncorrected.Max)
		// All calls of one function were made at once, so nothing is to be corrected.
		r.Corrected = part.Uncorrected
		r.Client.CPU += part.Client.CPU
	}
	if c.Functions*cycles > 1 {
		r.Corrected = digest(slowest)
	}
	r.Uncorrected = r.Corrected
	r.Took = time.Since(r.Began)
	r.Client.PerCall = r.Client.CPU / time.Duration(max(r.Calls, 1))
	r.Rate = float64(r.Calls-r.Failed) / r.Took.Seconds()
	r.Load = fmt.Sprintf("%d functions at zero, one after the other, each called by %d at once, %d times", c.Functions, c.Calls, cycles)
	for _, phase := range []string{"trigger", "provision", "boot", "detect", "release"} {
		if p, ok := st.phase(phase); ok {
			r.Phases = append(r.Phases, p)
		}
	}
	r.Starts = int64(st.sum("weir_coldstarts_total{"))
	return r, nil
}

// atZero waits until a function has gone back to zero.
func (st *story) atZero(ctx context.Context, name string) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	look := time.NewTicker(10 * time.Millisecond)
	defer look.Stop()
	for {
		state, err := st.state(name)
		if err != nil || state == "cold" {
			return err
		}
		select {
		case <-look.C:
		case <-ctx.Done():
			return fmt.Errorf("function %s does not go back to zero: it is %s", name, state)
		}
	}
}

// knee doubles the rate until p99 breaks, then halves the gap three times. The
// report is of the highest rate that did well, or else of the first.
func (st *story) knee(ctx context.Context) (best *Report, err error) {
	var tried []string
	try := func(rate float64) (ok bool, err error) {
		l, err := st.Load.load(st.url)
		if err != nil {
			return false, err
		}
		l.Poisson, l.Steps = true, []Step{{rate, rate, l.Duration}}
		r, err := Run(ctx, l, nil)
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return false, err
		}
		ok = r.Corrected.P99 <= st.Knee.P99 && r.FailedRatio() < 0.001
		if ok {
			r.Knee = rate
		}
		if ok || best == nil {
			best = r
		}
		line := fmt.Sprintf("at %.0f/s p99 is %s", rate, brief(r.Corrected.P99))
		if r.ClientLimited {
			line += ", and this client was the limit"
		}
		tried = append(tried, line)
		return ok, nil
	}
	low, high := 0.0, st.Knee.From
	ok := true
	for ok && high <= st.Knee.To {
		if ok, err = try(high); err != nil {
			return nil, err
		}
		if ok {
			low, high = high, 2*high
		}
	}
	for range 3 {
		if ok || low == 0 {
			break // there is no gap
		}
		middle := (low + high) / 2
		good, err := try(middle)
		if err != nil {
			return nil, err
		}
		if good {
			low = middle
		} else {
			high = middle
		}
	}
	best.Notes = append(best.Notes, tried...)
	best.notef("p99 stays under %s up to %.0f/s", st.Knee.P99, low)
	return best, nil
}
