package forecast_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-gateway/weir/config"
)

// visitsInTurn is a function that is called every 10 minutes for 100 hours, through
// that many routers in turn, each with instances of its own: the share of calls that
// were cold, and how many instances were up in the mean.
func visitsInTurn(t *testing.T, routers int, policy config.ColdStart) (cold, up float64) {
	t.Helper()
	const calls, every, takes = 600, 10 * time.Minute, 100 * time.Millisecond
	synctest.Test(t, func(t *testing.T) {
		policy.Scaler, policy.MaxScale, policy.StartTimeout, policy.PredictRange = "platform", 1, time.Minute, 4*time.Hour
		policy.MinUp = min(30*time.Second, policy.IdleAfter)
		var worlds []*world
		for range routers {
			cfg := &config.Config{
				Functions: map[string]*config.Function{"f": {Name: "f", ColdStart: policy}},
				ColdStart: config.ColdStartLimits{MaxPrewarmed: 1},
			}
			w := create(boots, cfg)
			defer w.end()
			worlds = append(worlds, w)
		}
		for i := range calls {
			time.Sleep(every)
			if worlds[i%routers].call("f", takes) {
				cold++
			}
		}
		for _, w := range worlds {
			up += w.actors["f"].idle(0).Hours()
		}
	})
	return cold / calls, up / (calls * every.Hours())
}

// A function that is called now and then through three routers is colder, and costs
// more, if each of them raises it for itself than if one of them has all its calls
// (placement: one_router).
func TestOneHolderIsWarmer(t *testing.T) {
	for name, policy := range map[string]config.ColdStart{
		"idle_after 15m": fixedFor(15 * time.Minute),
		"predict":        predicted(5 * time.Minute),
	} {
		eachCold, eachUp := visitsInTurn(t, 3, policy)
		oneCold, oneUp := visitsInTurn(t, 1, policy)
		t.Logf("%s: each for itself: %.1f %% cold, %.2f instances up; one holder: %.1f %% cold, %.2f up",
			name, 100*eachCold, eachUp, 100*oneCold, oneUp)
		if oneCold > eachCold || oneUp > eachUp {
			t.Errorf("%s: one holder is no better", name)
		}
	}
}
