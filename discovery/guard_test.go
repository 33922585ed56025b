package discovery

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-gateway/weir/config"
)

// guard tells a story of a source that is guarded for ten seconds.
func guard(t *testing.T, story func(t *testing.T, v voice, l *listener)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		v, l := make(voice), &listener{}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- Guard(v, 10*time.Second).Watch(ctx, &config.Function{}, l.report) }()
		story(t, v, l)
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		before := len(l.reports)
		time.Sleep(time.Minute)
		if len(l.reports) != before {
			t.Errorf("reported %q after the watch had ended", l.reports[before:])
		}
	})
}

func TestGuard(t *testing.T) {
	guard(t, func(t *testing.T, v voice, l *listener) {
		v <- nil // nobody was there: that is believed at once
		l.want(t, "")
		v <- []Endpoint{{Addr: "a"}}
		l.want(t, "", "a")
		v <- nil
		time.Sleep(9 * time.Second)
		v <- nil // saying it again does not begin anew
		l.want(t, "", "a")
		time.Sleep(time.Second)
		l.want(t, "", "a", "")
	})
	guard(t, func(t *testing.T, v voice, l *listener) {
		v <- []Endpoint{{Addr: "a"}}
		v <- nil
		time.Sleep(9 * time.Second)
		v <- []Endpoint{{Addr: "a"}} // it was a slip
		time.Sleep(time.Minute)
		l.want(t, "a")
		v <- nil
		time.Sleep(9 * time.Second)
		l.want(t, "a") // the doubt begins anew
		v <- []Endpoint{{Addr: "b"}}
		l.want(t, "a", "b")
		v <- nil // the watch ends while this is doubted
	})
}
