package telemetry

import (
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weir-gateway/weir/proxy"
	"github.com/weir-gateway/weir/proxy/message"
)

// same is a function whose calls are collapsed, in front of others.
const same = "functions:\n  same: { collapse: {}, endpoints: [{ address: \"127.0.0.1:9003\", region: us-east }] }\n"

// A pair is an endpoint of it that answers the first of two calls once the other one
// follows.
type pair struct {
	*rig
	first atomic.Bool
}

func (p *pair) try(answer func(*message.Exchange) error) func(*message.Exchange) error {
	return func(x *message.Exchange) error {
		for began := time.Now(); string(x.Request.Path) == "/same" && p.first.Load() && time.Since(began) < 10*time.Second; time.Sleep(time.Millisecond) {
			if calls, _ := p.keeper.Table().Functions["same"].Flights.Waiting(); calls == 1 {
				p.first.Store(false)
			}
		}
		return answer(x)
	}
}

// ask has two calls ask for the same at once.
func (p *pair) ask(fields ...string) {
	p.first.Store(true)
	var work sync.WaitGroup
	work.Go(func() { p.call("GET", "/same", fields...) })
	p.call("GET", "/same", fields...)
	work.Wait()
}

// Who was given a copy is a call as any other, without a try, and the log says whose
// it was.
func TestCollapsedIsCounted(t *testing.T) {
	var r pair
	var mu sync.Mutex
	var lines []string
	status := 200
	r.rig = setUp(t, with(t, "none"), strings.Replace(twoFunctions, "functions:\n", same, 1)+"  - { path_prefix: /same, function: same }\n",
		r.try(func(x *message.Exchange) error { return answer(status, "hello")(x) }))
	r.trusted = true
	r.peek = func(c *proxy.Call) {
		mu.Lock()
		defer mu.Unlock()
		lines = append(lines, string(appendLine(nil, c, "here")))
	}
	r.ask("X-Request-Id: one")
	wants(t, r.page(),
		`weir_collapsed_total{function="same",result="shared"} 1`,
		`weir_collapse_followers{function="same"} 0`,
		`weir_collapse_bytes{function="same"} 0`,
		`weir_http_requests_total{function="same",region="us-east",code="200",method="GET"} 1`,
		`weir_http_requests_total{function="same",region="here",code="200",method="GET"} 1`,
		`weir_upstream_attempts_total{function="same",region="us-east",result="ok"} 1`,
		`weir_http_response_bytes_total{function="same"} 10`,
	)
	all := strings.Join(lines, "")
	for _, words := range []string{`"attempts":1,"user_agent":"","followers":1}`, `"attempts":0,"user_agent":"","collapsed":"shared","collapsed_with":"one"}`} {
		if !strings.Contains(all, words) {
			t.Errorf("%s is not in\n%s", words, all)
		}
	}
	status, lines = 500, nil
	r.ask()
	wants(t, r.page(), `weir_collapsed_total{function="same",result="unshared"} 1`, `weir_upstream_attempts_total{function="same",region="us-east",result="ok"} 3`)
	if all := strings.Join(lines, ""); strings.Count(all, `"collapsed":"unshared"}`) != 1 {
		t.Error(all)
	}
}
