package telemetry

import (
	"strings"
	"testing"

	"github.com/weir-gateway/weir/proxy/message"
)

// Tries are counted where they were made, the call where it ended, and the log says
// the whole story.
func TestLastResortIsCounted(t *testing.T) {
	n := 0
	r := setUp(t, with(t, "none"), `
functions:
  f: { endpoints: [{ address: "127.0.0.1:9001", region: eu-west }], fallback: { on: [503], function: g } }
  g: { endpoints: [{ address: "127.0.0.1:9002", region: us-east }] }
routes: [{ function: f }]
`, func(x *message.Exchange) error {
		n++
		return answer(map[bool]int{true: 503, false: 200}[n == 1], "hello")(x)
	})
	line := lineOf(t, r, "GET", "/")
	if !strings.Contains(line, `"function":"g"`) || !strings.Contains(line, `"status":200`) ||
		!strings.Contains(line, `"attempts":2,"user_agent":"","fallback_from":"f","fallback_reason":"status"}`) {
		t.Error(line)
	}
	wants(t, r.page(),
		`weir_fallbacks_total{function="f",to="g"} 1`,
		`weir_upstream_attempts_total{function="f",region="eu-west",result="ok"} 1`,
		`weir_upstream_attempts_total{function="g",region="us-east",result="ok"} 1`,
		`weir_http_requests_total{function="g",region="us-east",code="200",method="GET"} 1`,
		`weir_retries_total{function="f"} 0`,
		`weir_retries_total{function="g"} 0`,
	)
	if strings.Contains(r.page(), `weir_http_requests_total{function="f"`) {
		t.Error("the call is counted twice")
	}
}
