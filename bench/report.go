package bench

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// A Report is what one run saw. Durations are nanoseconds in JSON.
type Report struct {
	Target string    `json:"target"`
	Load   string    `json:"load"` // in words
	Began  time.Time `json:"began"`
	Origin Origin    `json:"origin"`

	Took     time.Duration    `json:"took"`
	Calls    int64            `json:"calls"`
	Failed   int64            `json:"failed"` // without an answer, or with one of 500 and more
	Warmup   int64            `json:"warmup"` // calls that are not counted
	Bytes    int64            `json:"bytes"`
	Rate     float64          `json:"rate"`              // answers a second
	Offered  float64          `json:"offered,omitempty"` // calls a second that were due; open loop
	Outcomes map[string]int64 `json:"outcomes"`
	Statuses map[string]int64 `json:"statuses"`

	// Corrected is from the moment a call was to be sent; in a closed loop, which
	// has none, what would have been sent at the median's pace is filled in.
	// Uncorrected is from the moment it was sent.
	Corrected   Digest       `json:"corrected"`
	Uncorrected Digest       `json:"uncorrected"`
	Kinds       []KindReport `json:"kinds"`
	Seconds     []Second     `json:"seconds"`
	Phases      []Phase      `json:"phases,omitempty"` // of cold starts

	// Of scenarios that look at them.
	Knee            float64 `json:"knee,omitempty"`             // calls a second that it bore
	Starts          int64   `json:"starts,omitempty"`           // of instances
	MemoryGrowth    float64 `json:"memory_growth,omitempty"`    // of weir, percent
	GoroutineGrowth float64 `json:"goroutine_growth,omitempty"` // of weir

	Client        Client   `json:"client"`
	ClientLimited bool     `json:"client_limited"`
	Died          bool     `json:"died"`
	Notes         []string `json:"notes"`
}

// Origin says where the figures come from.
type Origin struct {
	Version  string `json:"version,omitempty"`
	Revision string `json:"revision,omitempty"`
	Command  string `json:"command,omitempty"`
	Machine  string `json:"machine"`
	Load     string `json:"machine_load"` // of the machine when the run ended, over one minute
}

// A KindReport is the share of one kind of call.
type KindReport struct {
	Name    string `json:"name"`
	Calls   int64  `json:"calls"`
	Failed  int64  `json:"failed"`
	Latency Digest `json:"latency"` // corrected, in an open loop
}

// A Phase of cold starts, seen by weir's own metrics.
type Phase struct {
	Name string        `json:"name"`
	Mean time.Duration `json:"mean"`
}

// A Client is what it cost to measure.
type Client struct {
	CPU      time.Duration `json:"cpu"`                 // processor time of the event loops
	Waited   time.Duration `json:"waited"`              // for something to happen
	PerCall  time.Duration `json:"per_call"`            // processor time
	MostRate float64       `json:"most_rate,omitempty"` // answers a second that it could take; closed loop
	Late     Digest        `json:"late"`                // sent after the time, by its own fault; open loop
}

// A Digest is a histogram in few numbers and a curve.
type Digest struct {
	Count int64         `json:"count"`
	Mean  time.Duration `json:"mean"`
	Min   time.Duration `json:"min"`
	P10   time.Duration `json:"p10"`
	P50   time.Duration `json:"p50"`
	P90   time.Duration `json:"p90"`
	P99   time.Duration `json:"p99"`
	P999  time.Duration `json:"p99.9"`
	Max   time.Duration `json:"max"`
	Curve []Percentile  `json:"curve,omitempty"`
}

// A Percentile is a point of the curve.
type Percentile struct {
	Percent float64       `json:"percent"`
	At      time.Duration `json:"at"`
}

func digest(h *hdrhistogram.Histogram) Digest {
	at := func(q float64) time.Duration { return time.Duration(h.ValueAtQuantile(q)) }
	d := Digest{Count: h.TotalCount(), Mean: time.Duration(h.Mean()), Min: time.Duration(h.Min()),
		P10: at(10), P50: at(50), P90: at(90), P99: at(99), P999: at(99.9), Max: time.Duration(h.Max())}
	if d.Count == 0 {
		return Digest{}
	}
	// Four points for each halving of what is left, as long as calls are left.
	for left := 1.0; left > 0.5/float64(d.Count); left /= 1.189207115 {
		q := 100 * (1 - left)
		d.Curve = append(d.Curve, Percentile{q, at(q)})
	}
	return d
}

func (r *Report) notef(format string, args ...any) {
	r.Notes = append(r.Notes, fmt.Sprintf(format, args...))
}

// FailedRatio of the calls.
func (r *Report) FailedRatio() float64 {
	if r.Calls == 0 {
		return 1
	}
	return float64(r.Failed) / float64(r.Calls)
}

// Machine says on what we run.
func Machine() string {
	model := runtime.GOARCH
	if b, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(b)) {
			if name, v, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
				model = strings.TrimSpace(v)
				break
			}
		}
	}
	return fmt.Sprintf("%d × %s, %s, %s", runtime.NumCPU(), model, runtime.GOOS, runtime.Version())
}

// MachineLoad is what the machine has to do, over the last minute.
func MachineLoad() string {
	b, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	one, _, _ := strings.Cut(string(b), " ")
	return one
}

// WriteJSON writes the whole report.
func (r *Report) WriteJSON(out io.Writer) error { return writeJSON(out, r) }

func writeJSON(out io.Writer, v any) error {
	e := json.NewEncoder(out)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// WriteText writes what a person wants to know first.
func (r *Report) WriteText(out io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n%s\n\n", r.Target, r.Load)
	fmt.Fprintf(&b, "%d calls in %s, %.1f answers/s, %d failed\n", r.Calls, r.Took.Round(time.Millisecond), r.Rate, r.Failed)
	for _, code := range slices.Sorted(maps.Keys(r.Statuses)) {
		fmt.Fprintf(&b, "  status %s: %d\n", code, r.Statuses[code])
	}
	for _, name := range slices.Sorted(maps.Keys(r.Outcomes)) {
		if name != "answered" {
			fmt.Fprintf(&b, "  %s: %d\n", name, r.Outcomes[name])
		}
	}
	fmt.Fprintf(&b, "\n%-12s %10s %10s %10s %10s %10s\n", "latency", "p50", "p90", "p99", "p99.9", "max")
	for _, row := range []struct {
		name string
		d    Digest
	}{{"corrected", r.Corrected}, {"uncorrected", r.Uncorrected}, {"sent late", r.Client.Late}} {
		if row.d.Count > 0 {
			fmt.Fprintf(&b, "%-12s %10s %10s %10s %10s %10s\n", row.name, brief(row.d.P50), brief(row.d.P90), brief(row.d.P99), brief(row.d.P999), brief(row.d.Max))
		}
	}
	if len(r.Kinds) > 1 {
		b.WriteString("\n")
		for _, k := range r.Kinds {
			fmt.Fprintf(&b, "%-32s %8d calls, %d failed, p50 %s, p99 %s\n", k.Name, k.Calls, k.Failed, brief(k.Latency.P50), brief(k.Latency.P99))
		}
	}
	for _, p := range r.Phases {
		fmt.Fprintf(&b, "%-32s mean %s\n", "cold start: "+p.Name, brief(p.Mean))
	}
	fmt.Fprintf(&b, "\nthis client used %s of processor time a call", brief(r.Client.PerCall))
	if r.Client.MostRate > 0 {
		fmt.Fprintf(&b, "; its highest honest rate is about %.0f calls/s", r.Client.MostRate)
	}
	b.WriteString("\n")
	for _, n := range r.Notes {
		fmt.Fprintf(&b, "note: %s\n", n)
	}
	_, err := io.WriteString(out, b.String())
	return err
}

// describe is the load in words.
func (l *Load) describe() string {
	var b strings.Builder
	switch {
	case len(l.Steps) == 0:
		b.WriteString("closed loop")
	case l.Poisson:
		b.WriteString("open loop, Poisson, ")
	default:
		b.WriteString("open loop, ")
	}
	for i, s := range l.Steps {
		if i > 0 {
			b.WriteString(", then ")
		}
		if s.From == s.To {
			fmt.Fprintf(&b, "%g/s", s.From)
		} else {
			fmt.Fprintf(&b, "%g/s to %g/s", s.From, s.To)
		}
		if len(l.Steps) > 1 {
			fmt.Fprintf(&b, " for %s", s.For)
		}
	}
	fmt.Fprintf(&b, ", %d connections, %s", l.Connections, l.Duration)
	if l.Warmup > 0 {
		fmt.Fprintf(&b, " after %s of warm-up", l.Warmup)
	}
	if l.PerConn > 0 {
		fmt.Fprintf(&b, ", a new connection after %d calls", l.PerConn)
	}
	fmt.Fprintf(&b, ", deadline %s", l.Timeout)
	return b.String()
}
