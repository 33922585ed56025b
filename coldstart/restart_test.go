package coldstart

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-gateway/weir/config"
)

// crashes has the instances serve for a while, and then end. It returns how
// long it took until others were asked for.
func (s *stage) crashes(t *testing.T, after time.Duration) time.Duration {
	t.Helper()
	s.act.Serving(1, 0, time.Now())
	synctest.Wait()
	time.Sleep(after)
	began, before := time.Now(), s.ups()
	s.act.Serving(0, 0, time.Now())
	for s.ups() == before {
		time.Sleep(10 * time.Millisecond)
		if time.Since(began) > time.Hour {
			t.Fatal("never again")
		}
	}
	return time.Since(began)
}

func (s *stage) ups() int {
	synctest.Wait()
	up, _ := s.asked()
	return up
}

// What must run without a call and crashes soon is started again ever more
// slowly, until it has lasted.
func TestRestartsBackOff(t *testing.T) {
	stages(t, func(cs *config.ColdStart) { cs.MinScale, cs.IdleAfter = 1, 0 }, func(t *testing.T, s *stage) {
		for i, want := range []time.Duration{1, 2, 4, 8, 16, 32, 60, 60} {
			want *= time.Second
			if took := s.crashes(t, time.Second); took < want*4/5 || took > want*6/5+20*time.Millisecond {
				t.Errorf("crash %d: started again after %v, want %v give or take a fifth", i+1, took, want)
			}
		}
		if took := s.crashes(t, 2*time.Minute); took > 20*time.Millisecond {
			t.Errorf("after two good minutes: started again after %v", took)
		}
		if took := s.crashes(t, time.Second); took > 1300*time.Millisecond {
			t.Errorf("the first crash after good times: started again after %v", took)
		}
	})
}
