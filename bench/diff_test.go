package bench

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// rounds of a target whose latencies are these, one a second from a moment on.
func rounds(name string, from time.Time, latencies ...time.Duration) *Rounds {
	r := &Rounds{Name: name}
	for i, d := range latencies {
		r.Rounds = append(r.Rounds, &Report{Load: "as it was", Began: from.Add(time.Duration(2*i) * time.Second), Calls: 100, Rate: float64(time.Second) / float64(d),
			Corrected: Digest{P10: d, P50: d, Mean: d, P99: d}})
	}
	return r
}

func TestARegressionIsASentence(t *testing.T) {
	now := time.Now()
	var a, b []time.Duration
	for i := range 12 {
		weather := time.Duration(i%4+1) * time.Millisecond
		a, b = append(a, weather), append(b, weather*106/100+time.Duration(i)*time.Microsecond)
	}
	d, err := Diff(rounds("old", now, a...), rounds("new", now.Add(time.Second), b...))
	if err != nil || !d.Interleaved || !d.Regression {
		t.Fatalf("%+v, %v", d, err)
	}
	if say := d.Findings[1].Says; !strings.Contains(say, "median latency: B is slower, +6.") {
		t.Error(say)
	}
	if say := d.Findings[4].Says; !strings.Contains(say, "rate of answers: B is slower, -") {
		t.Error(say)
	}
	back, err := Diff(rounds("new", now, b...), rounds("old", now.Add(time.Second), a...))
	if err != nil || back.Regression || !back.Findings[0].Verdict.Differs {
		t.Errorf("the other way round: %+v, %v", back, err)
	}
	// The same at different times: the weather is as large as the difference.
	apart, err := Diff(rounds("old", now, a...), rounds("new", now.Add(time.Hour), b...))
	if err != nil || apart.Interleaved || apart.Regression || len(apart.Notes) == 0 {
		t.Errorf("apart: %+v, %v", apart, err)
	}
	if _, err := Diff(rounds("few", now, a[:3]...), rounds("few", now, a[:3]...)); err == nil {
		t.Error("three rounds are taken for enough")
	}
}

func TestReadRounds(t *testing.T) {
	s := target(t, func(http.ResponseWriter, *http.Request) {})
	r := measure(t, Load{URL: s.Addr, Connections: 1, Steps: steady(100, 2*time.Second)})
	dir := t.TempDir()
	for name, write := range map[string]func(*os.File) error{
		"one":  func(f *os.File) error { return r.WriteJSON(f) },
		"many": func(f *os.File) error { return (&Rounds{Name: "n", Rounds: []*Report{r, r}}).WriteJSON(f) },
	} {
		f, err := os.Create(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if err := write(f); err != nil {
			t.Fatal(err)
		}
		f.Close()
		got, err := ReadRounds(f.Name())
		if err != nil || len(got.Rounds) != 2 || got.Rounds[1].Corrected.P50 == 0 {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	writeFile(t, filepath.Join(dir, "none"), `{"a": 1}`)
	for _, name := range []string{"none", "missing"} {
		if _, err := ReadRounds(filepath.Join(dir, name)); err == nil {
			t.Errorf("%s is taken for a report", name)
		}
	}
}

// One target of which each call takes a millisecond of a processor, once against
// itself and once against one that takes 5 % more: what weir bench ab says of it.
func BenchmarkSlowdown(b *testing.B) {
	spin := func(d time.Duration) *http.Server {
		return target(b, func(http.ResponseWriter, *http.Request) {
			for began := time.Now(); time.Since(began) < d; {
			}
		})
	}
	one, same, slow := spin(time.Millisecond), spin(time.Millisecond), spin(1050*time.Microsecond)
	load := func(s *http.Server) Load {
		return Load{URL: s.Addr, Connections: 1, Duration: 300 * time.Millisecond}
	}
	caught, alarms := 0, 0
	for range b.N {
		for _, other := range []*http.Server{same, slow} {
			ra, rb, err := Interleave(b.Context(), load(one), load(other), 20, nil)
			if err != nil {
				b.Fatal(err)
			}
			d, err := Diff(ra, rb)
			if err != nil {
				b.Fatal(err)
			}
			b.Log(d.Findings[0].Says)
			switch {
			case other == slow && d.Regression:
				caught++
			case other == same && d.Regression:
				alarms++
			}
		}
	}
	b.ReportMetric(float64(caught)/float64(b.N), "caught/try")
	b.ReportMetric(float64(alarms)/float64(b.N), "alarms/try")
}
