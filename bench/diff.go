package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// Rounds are several runs of the same load at one target.
type Rounds struct {
	Name   string    `json:"name"`
	Rounds []*Report `json:"rounds"`
}

// A series reads one figure of each round.
type series struct {
	name string
	of   func(*Report) float64
	more string // what more of it is: slower, faster
	less string
}

// What disturbs a call makes it longer, so the fastest tenth is what a busy
// machine moves least, and where a change of the program shows first.
var figures = []series{
	{"the latency of the fastest tenth", func(r *Report) float64 { return float64(r.Corrected.P10) }, "slower", "faster"},
	{"the median latency", func(r *Report) float64 { return float64(r.Corrected.P50) }, "slower", "faster"},
	{"the mean latency", func(r *Report) float64 { return float64(r.Corrected.Mean) }, "slower", "faster"},
	{"p99", func(r *Report) float64 { return float64(r.Corrected.P99) }, "slower", "faster"},
	{"the rate of answers", func(r *Report) float64 { return r.Rate }, "faster", "slower"},
}

// A Difference between two sets of rounds, figure by figure.
type Difference struct {
	A           string    `json:"a"`
	B           string    `json:"b"`
	Interleaved bool      `json:"interleaved"`
	Findings    []Finding `json:"findings"`
	Notes       []string  `json:"notes"`
	Regression  bool      `json:"regression"`
}

// A Finding is what there is to say about one figure.
type Finding struct {
	Figure  string  `json:"figure"`
	Verdict Verdict `json:"verdict"`
	Says    string  `json:"says"`
	worse   bool
}

// fewestRounds are needed before chance can be told from a difference: with
// fewer no outcome of the test is rarer than one in a hundred.
const fewestRounds = 8

// Diff compares two sets of rounds.
func Diff(a, b *Rounds) (*Difference, error) {
	if len(a.Rounds) < fewestRounds || len(b.Rounds) < fewestRounds {
		return nil, fmt.Errorf("%d and %d rounds are too few to tell a difference from chance: %d each at least (weir bench ab --rounds)",
			len(a.Rounds), len(b.Rounds), fewestRounds)
	}
	d := &Difference{A: a.Name, B: b.Name, Interleaved: interleaved(a.Rounds, b.Rounds)}
	if !d.Interleaved {
		d.Notes = append(d.Notes, "the rounds were not interleaved: what else the machine did counts as a difference")
	}
	if one, other := a.Rounds[0].Load, b.Rounds[0].Load; one != other {
		d.Notes = append(d.Notes, fmt.Sprintf("the loads are not the same: %q and %q", one, other))
	}
	for _, s := range figures {
		v := unpaired(values(a, s), values(b, s))
		if d.Interleaved {
			v = paired(values(a, s), values(b, s))
		}
		f := Finding{Figure: s.name, Verdict: v, worse: v.Differs && (v.Percent > 0) == (s.more == "slower")}
		f.Says = s.says(v)
		d.Regression = d.Regression || f.worse
		d.Findings = append(d.Findings, f)
	}
	failedA, failedB := failedOf(a), failedOf(b)
	if failedA+failedB > 0 {
		d.Notes = append(d.Notes, fmt.Sprintf("calls failed: %.3g %% of A, %.3g %% of B", 100*failedA, 100*failedB))
		d.Regression = d.Regression || failedB > failedA+0.001
	}
	return d, nil
}

func (s series) says(v Verdict) string {
	if !v.Differs {
		return fmt.Sprintf("%s is the same, as far as can be told (%+.1f %%, between %+.1f and %+.1f; p = %.2g)", s.name, v.Percent, v.Low, v.High, v.P)
	}
	word := s.more
	if v.Percent < 0 {
		word = s.less
	}
	return fmt.Sprintf("%s: B is %s, %+.1f %% (between %+.1f and %+.1f; p = %.2g)", s.name, word, v.Percent, v.Low, v.High, v.P)
}

func values(r *Rounds, s series) (v []float64) {
	for _, round := range r.Rounds {
		v = append(v, max(s.of(round), 1e-9)) // its logarithm is taken
	}
	return v
}

func failedOf(r *Rounds) float64 {
	var calls, failed int64
	for _, round := range r.Rounds {
		calls, failed = calls+round.Calls, failed+round.Failed
	}
	if calls == 0 {
		return 1
	}
	return float64(failed) / float64(calls)
}

// interleaved tells whether each round of the one has its round of the other
// right beside it.
func interleaved(a, b []*Report) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if i+1 < len(a) && (!a[i+1].Began.After(b[i].Began) || !b[i+1].Began.After(a[i].Began)) {
			return false
		}
	}
	return true
}

// WriteText says it in sentences.
func (d *Difference) WriteText(out io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "A: %s\nB: %s\n\n", d.A, d.B)
	for _, f := range d.Findings {
		fmt.Fprintln(&b, f.Says)
	}
	for _, n := range d.Notes {
		fmt.Fprintf(&b, "note: %s\n", n)
	}
	_, err := io.WriteString(out, b.String())
	return err
}

// Interleave runs A and B in turn, the first of a pair alternating, so that
// both see the same weather.
func Interleave(ctx context.Context, a, b Load, rounds int, told func(round int, of string, r *Report)) (*Rounds, *Rounds, error) {
	ra, rb := &Rounds{Name: a.URL}, &Rounds{Name: b.URL}
	for i := range rounds {
		pair := []struct {
			load Load
			to   *Rounds
			name string
		}{{a, ra, "A"}, {b, rb, "B"}}
		if i%2 == 1 {
			pair[0], pair[1] = pair[1], pair[0]
		}
		for _, p := range pair {
			r, err := Run(ctx, p.load, nil)
			if err == nil && ctx.Err() != nil {
				err = errors.New("stopped before the last round")
			}
			if err == nil && r.Died {
				err = fmt.Errorf("%s died in round %d", p.load.URL, i+1)
			}
			if err != nil {
				return ra, rb, err
			}
			p.to.Rounds = append(p.to.Rounds, r)
			if told != nil {
				told(i+1, p.name, r)
			}
		}
	}
	return ra, rb, nil
}

// ReadRounds reads what weir bench wrote: rounds, or one run, whose seconds are
// taken for rounds.
func ReadRounds(path string) (*Rounds, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var r Rounds
	if err := json.Unmarshal(text, &r); err != nil {
		return nil, fmt.Errorf("%s is not a report of weir bench: %w", path, err)
	}
	if len(r.Rounds) > 0 {
		return &r, nil
	}
	var one Report
	if err := json.Unmarshal(text, &one); err != nil || one.Target == "" {
		return nil, fmt.Errorf("%s is not a report of weir bench", path)
	}
	r.Name = one.Target
	for _, s := range one.Seconds {
		if time.Duration(s.At+1)*time.Second > one.Took {
			continue // not a whole one
		}
		r.Rounds = append(r.Rounds, &Report{Load: one.Load, Began: one.Began.Add(time.Duration(s.At) * time.Second), Calls: s.Calls, Failed: s.Failed,
			Rate: float64(s.Calls), Corrected: Digest{P10: s.P10, P50: s.P50, Mean: s.Mean, P99: s.P99}})
	}
	return &r, nil
}

// WriteJSON writes all rounds, for weir bench diff.
func (r *Rounds) WriteJSON(out io.Writer) error { return writeJSON(out, r) }
