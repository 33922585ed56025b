package scalertest

import (
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/weir-gateway/weir/config"
	"github.com/weir-gateway/weir/discovery"
)

// Bench measures how soon a scaler tells what has happened (C42 wants 10 ms). The
// suite cannot ask for that: on a busy machine nothing takes 10 ms.
//
//		go test -run '^$' -bench Events -benchtime 100x ./coldstart/process ./coldstart/docker ./coldstart/webhook
//
//	  - ready: from the moment at which an instance listens until its endpoint is told;
//	    0 if that is told before, so that weir connects to it already.
//	  - crash: from the end of the connection to an instance that crashes until it is
//	    told, and is out of the set.
//	  - a reserve's: from ScaleUp until the endpoint is told again.
func Bench(b *testing.B, s Subject) {
	b.Run("ready", func(b *testing.B) { s.benchReady(b) })
	b.Run("crash", func(b *testing.B) { s.benchCrash(b) })
	for _, mode := range s.Reserves {
		b.Run(mode, func(b *testing.B) { s.benchReserve(b, mode) })
	}
}

func (s Subject) benchReady(b *testing.B) {
	fn := s.Function("ready", map[string]string{"BOOT": "20ms"})
	st := s.stage(b, fn)
	v, _ := st.See(fn)
	var took []time.Duration
	for b.Loop() {
		_, told, since := st.answering(fn, v)
		took = append(took, max(told.Sub(since), 0))
		st.Down(fn, 0)
	}
	report(b, took)
}

func (s Subject) benchCrash(b *testing.B) {
	fn := s.Function("crash", nil)
	st := s.stage(b, fn)
	v, _ := st.See(fn)
	var took, whole []time.Duration
	for b.Loop() {
		ep, _, _ := st.answering(fn, v)
		n := len(st.Failures(fn.Name))
		Try(ep.Addr, "/crash")
		began := time.Now()
		Eventually(b, "told", func() bool { return len(st.Failures(fn.Name)) > n })
		v.Until(0)
		told := st.Failures(fn.Name)[n].At
		whole = append(whole, max(told.Sub(began), 0))
		if s.Ended != nil {
			began = s.Ended(b, ep.ID)
		}
		took = append(took, max(told.Sub(began), 0))
	}
	report(b, took)
	if s.Ended != nil {
		slices.Sort(whole)
		b.ReportMetric(float64(whole[len(whole)/2].Nanoseconds())/1e6, "with-the-platform-p50-ms")
	}
}

func (s Subject) benchReserve(b *testing.B, mode string) {
	fn := s.Function("reserve", nil)
	fn.ColdStart.IdleMode = mode
	st := s.stage(b, fn)
	v, _ := st.See(fn)
	st.answering(fn, v)
	var took []time.Duration
	for b.Loop() {
		st.Down(fn, 0)
		v.Until(0)
		began := time.Now()
		st.Up(fn, 1)
		v.Until(1)
		_, told := v.Now()
		took = append(took, told.Sub(began))
		time.Sleep(calm) //nolint:forbidigo // a test
	}
	report(b, took)
}

// calm is for how long a reserve serves before it is put back: moby notes a resume
// twice, and the second note undoes that of a pause which came in between.
const calm = 50 * time.Millisecond

// answering has one instance raised from nothing, and returns when it answers: when
// it was told, and since when it listens. An instance that finds its port taken,
// which happens among thousands, is followed by another.
func (s *Stage) answering(fn config.Function, v *View) (ep discovery.Endpoint, told, since time.Time) {
	s.T.Helper()
	for {
		v.Until(0)
		n := len(s.Failures(fn.Name))
		s.Up(fn, 1)
		ep = v.Until(1)[0]
		_, told = v.Now()
		said := ""
		Eventually(s.T, "answer or end", func() bool {
			said = try(ep.Addr, "/since")
			return said != "" || len(s.Failures(fn.Name)) > n
		})
		if ns, err := strconv.ParseInt(said, 10, 64); err == nil {
			return ep, told, time.Unix(0, ns)
		}
	}
}

func report(b *testing.B, took []time.Duration) {
	slices.Sort(took)
	at := func(q float64) float64 {
		return float64(took[int(q*float64(len(took)-1))].Nanoseconds()) / 1e6
	}
	b.ReportMetric(at(0.50), "p50-ms")
	b.ReportMetric(at(0.99), "p99-ms")
	b.ReportMetric(at(1), "most-ms")
	b.ReportMetric(0, "ns/op")
}
