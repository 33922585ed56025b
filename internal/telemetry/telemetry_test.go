package telemetry

import (
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weir-gateway/weir/coldstart"
	"github.com/weir-gateway/weir/internal/moment"
	"github.com/weir-gateway/weir/proxy"
	"github.com/weir-gateway/weir/proxy/message"
	"github.com/weir-gateway/weir/proxy/table"
)

const everything = twoFunctions + `
  - { path_prefix: /cold, function: cold }
  - { path_prefix: /broken, function: broken }
  - { path_prefix: /slow, function: slow }
  - { path_prefix: /late, function: late }
  - { path_prefix: /sorry, function: sorry }
  - { path_prefix: /abroad, function: abroad }
  - { path_prefix: /far, function: far }
`

// withScaler is everything and the functions that a scaler raises.
var withScaler = strings.Replace(everything, "functions:\n", `peers: { addresses: ["10.0.0.1:80"] }
zone: x
functions:
  cold: { cold_start: { scaler: process }, process: { command: [x] } }
  broken: { cold_start: { scaler: process }, process: { command: [x] } }
  slow: { cold_start: { scaler: process }, process: { command: [x] } }
  late: { health_check: {}, rate_limit: { requests: 1000, window: 3s, shared: true }, concurrency: { max_requests: 100, per_tenant: 10 }, hedging: {}, retries: {}, circuit_breaker: {}, outlier_detection: {}, cold_start: { scaler: process }, process: { command: [x] }, while_cold: { fallback: { function: hello, after: 1ms } } }
  abroad: { endpoints: [{ address: "127.84.0.9:80", region: away }], cold_start: { scaler: process, prefer_warm_region: true }, process: { command: [x] } }
  far: { cold_start: { scaler: process, placement: one_router }, process: { command: [x] } }
  zoned: { endpoints: [{ address: "127.84.0.9:80", zone: x }, { address: "127.84.0.9:81", zone: y }], load_balancing: { zones: prefer, slow_start: {} } }
  sorry: { cold_start: { scaler: process }, process: { command: [x] }, while_cold: { fallback: { body: sorry, after: 1ms } } }
`, 1)

// wants checks that lines are on the page, as they are.
func wants(t *testing.T, page string, lines ...string) {
	t.Helper()
	for _, line := range lines {
		if !strings.Contains(page, "\n"+line+"\n") {
			family := line[:strings.IndexAny(line, "{ ")]
			t.Errorf("not on the page: %s\nbut:\n%s", line, strings.Join(regexp.MustCompile(`(?m)^`+family+`\b.*$`).FindAllString(page, -1), "\n"))
		}
	}
}

func TestCallsAreCounted(t *testing.T) {
	r := setUp(t, with(t, "none"), twoFunctions, answer(201, "hello"))
	r.call("GET", "/")
	r.call("GET", "/")
	r.call("BREW", "/")
	r.call("GET", "/gone")
	wants(t, r.page(),
		`weir_http_requests_total{function="hello",region="us-east",code="201",method="GET"} 2`,
		`weir_http_requests_total{function="hello",region="us-east",code="201",method="_OTHER"} 1`,
		`weir_http_requests_total{function="gone",region="here",code="503",method="GET"} 1`,
		`weir_http_request_duration_seconds_count{function="hello",region="us-east"} 3`,
		`weir_http_request_duration_seconds_bucket{function="hello",region="us-east",le="60"} 3`,
		`weir_upstream_request_duration_seconds_count{function="hello",region="us-east"} 3`,
		`weir_upstream_attempts_total{function="hello",region="us-east",result="ok"} 3`,
		`weir_http_response_bytes_total{function="hello"} 15`,
		`weir_http_errors_total{function="gone",cause="NC"} 1`,
		`weir_retries_total{function="hello"} 0`,
		`weir_endpoints{function="hello",region="us-east",state="healthy"} 1`,
		`weir_endpoints{function="hello",region="us-east",state="ejected"} 0`,
		`weir_endpoints{function="gone",region="here",state="healthy"} 0`,
		`weir_active_functions 1`,
		`weir_held{function="hello"} 0`,
		`weir_config_last_reload_successful 1`,
		`weir_build_info{version="v1",revision="abc"} 1`,
	)
}

func TestRegionsAreShown(t *testing.T) {
	r := setUp(t, with(t, "none"), `
regions: { a: { weight: 80 }, b: { weight: 20 }, c: { weight: 5, drain: true }, d: { disabled: true } }
functions:
  f: { endpoints: [{ address: "127.0.0.1:1", region: a }, { address: "127.0.0.1:2", region: a }, { address: "127.0.0.1:3", region: b }, { address: "127.0.0.1:4", region: d }] }
  cold: { endpoints: [] }
routes: [{ path_prefix: /, function: f }]
`, answer(200, "hello"))
	fn := r.keeper.Table().Functions["f"]
	fn.Broke(fn.Set().Endpoints[0], moment.Now().Add(time.Hour)) // for long enough
	for began := time.Now(); fn.Set().Split.Regions[0].Healthy != 1; time.Sleep(time.Millisecond) {
		if time.Since(began) > 10*time.Second {
			t.Fatal("the shares do not follow")
		}
	}
	wants(t, r.page(),
		`weir_region_weight{function="f",region="a"} 80`,
		fmt.Sprintf(`weir_region_share{function="f",region="a"} %v`, fn.Set().Split.Regions[0].Share),
		`weir_region_share{function="f",region="c"} 0`,
		`weir_region_share{function="cold",region="a"} 0`,
		`weir_region_available_ratio{function="f",region="a"} 0.7`,
		`weir_region_available_ratio{function="f",region="b"} 1`,
		`weir_region_draining{function="f",region="a"} 0`,
		`weir_region_draining{function="f",region="c"} 1`,
		`weir_region_disabled{function="f",region="a"} 0`,
		`weir_region_disabled{function="f",region="d"} 1`,
		`weir_region_share{function="f",region="d"} 0`,
		`weir_endpoints{function="f",region="d",state="disabled"} 1`,
		`weir_endpoints{function="f",region="d",state="healthy"} 0`,
		`weir_panic{function="f"} 0`,
	)
	if got := fmt.Sprintf("%.4f", fn.Set().Split.Regions[0].Share); got != "0.7368" {
		t.Errorf("the share is %s", got)
	}
}

func TestTriesAreCountedByTheirEnd(t *testing.T) {
	var script []error
	r := setUp(t, with(t, "none"), `
functions: { f: { endpoints: ["127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3"] } }
routes: [{ path_prefix: /, function: f }]
`, func(x *message.Exchange) error {
		err := script[0]
		script = script[1:]
		if err == nil {
			x.Response.Status = 200
			x.Up = &upstream{body: []byte("he"), end: io.EOF}
		} else if err == io.ErrUnexpectedEOF {
			x.Response.Status = 200
			x.Up = &upstream{body: []byte("he"), end: err}
			return nil
		}
		return err
	})
	for _, s := range [][]error{
		{message.ErrConnect, message.ErrReset, nil},
		{message.ErrProtocol},
		{fmt.Errorf("%w", os.ErrDeadlineExceeded)},
		{message.ErrClientGone},
		{io.ErrUnexpectedEOF},
	} {
		script = s
		r.call("GET", "/")
	}
	const tries = `weir_upstream_attempts_total{function="f",region="local",result="%s"} 1`
	for _, result := range []string{"connect_failed", "reset", "ok", "malformed", "timeout", "canceled", "broken"} {
		wants(t, r.page(), fmt.Sprintf(tries, result))
	}
	wants(t, r.page(),
		`weir_retries_total{function="f"} 2`,
		`weir_http_errors_total{function="f",cause="UPE"} 1`,
		`weir_http_errors_total{function="f",cause="UT"} 1`,
		`weir_http_errors_total{function="f",cause="DC"} 1`,
		`weir_http_errors_total{function="f",cause="UC"} 1`,
		`weir_http_requests_total{function="f",region="local",code="499",method="GET"} 1`,
	)
}

func TestStartsAreCounted(t *testing.T) {
	r := setUp(t, with(t, "none"), withScaler, answer(200, "hello"))
	r.call("GET", "/cold")
	r.call("GET", "/broken")
	r.call("GET", "/broken")                                                                        // the door is closed
	r.await(`weir_coldstarts_total{function="cold",region="local",trigger="demand",result="ok"} 1`) // the call may be quicker
	page := r.page()
	wants(t, page,
		`weir_coldstarts_total{function="cold",region="local",trigger="demand",result="ok"} 1`,
		`weir_coldstarts_total{function="broken",region="here",trigger="demand",result="failed"} 1`,
		`weir_coldstart_duration_seconds_count{function="cold",region="local",phase="trigger",node="n1",rack="r1",dc="z1"} 1`,
		`weir_coldstart_duration_seconds_count{function="cold",region="local",phase="boot",node="n1",rack="r1",dc="z1"} 1`,
		`weir_coldstart_duration_seconds_bucket{function="cold",region="local",phase="boot",node="n1",rack="r1",dc="z1",le="300"} 1`,
		`weir_hold_seconds_count{function="cold",outcome="served"} 1`,
		`weir_hold_seconds_count{function="broken",outcome="failed"} 1`,
		`weir_hold_rejected_total{function="broken",reason="no_start"} 1`,
		`weir_scaler_requests_total{scaler="fake",result="ok"} 1`,
		`weir_scaler_requests_total{scaler="fake",result="failed"} 1`,
		`weir_start_coalesced_total 0`,
	)
	if strings.Contains(page, `weir_coldstart_duration_seconds_bucket{function="broken"`) {
		t.Error("a failed start was measured")
	}
}

// However many machines there are, the page stays as long as it is.
func TestPlacesAreBounded(t *testing.T) {
	tel := with(t, "none")
	for f := range maxAllPlaces/maxPlaces + 1 {
		function := fmt.Sprintf("f%03d", f)
		tel.NewMeter(function)
		for node := range maxPlaces + 4 {
			tel.Released(function, coldstart.Phases{Place: coldstart.Place{Region: "r", Node: fmt.Sprint("n", node)}, Release: time.Second})
		}
	}
	var b strings.Builder
	if err := tel.WritePrometheus(&b, Scene{}); err != nil {
		t.Fatal(err)
	}
	const family = "weir_coldstart_duration_seconds_count"
	wants(t, b.String(),
		family+`{function="f000",region="r",phase="release",node="n15",rack="",dc=""} 1`,
		family+`{function="f000",region="r",phase="release",node="_other",rack="_other",dc="_other"} 4`,
		family+`{function="f125",region="r",phase="release",node="_other",rack="_other",dc="_other"} 20`)
	if n := strings.Count(b.String(), "\n"+family+"{"); n != maxAllPlaces+maxAllPlaces/maxPlaces+1 {
		t.Errorf("%d series", n)
	}
	// A function that leaves makes room.
	tel.NewMeter("f000").Unregister()
	tel.Released("f125", coldstart.Phases{Place: coldstart.Place{Region: "r", Node: "n1"}})
	b.Reset()
	if err := tel.WritePrometheus(&b, Scene{}); err != nil {
		t.Fatal(err)
	}
	wants(t, b.String(), family+`{function="f125",region="r",phase="release",node="n1",rack="",dc=""} 1`)
}

func TestCallsThatJoinAStart(t *testing.T) {
	r := setUp(t, with(t, "none"), withScaler, answer(200, "hello"))
	var work sync.WaitGroup
	for i := range 3 {
		work.Go(func() { r.call("GET", "/slow") })
		r.await(fmt.Sprintf(`weir_held{function="slow"} %d`, i+1))
	}
	wants(t, r.page(), `weir_start_coalesced_total 0`) // told when it is over
	close(r.platform.wait)
	work.Wait()
	wants(t, r.page(), `weir_start_coalesced_total 2`, `weir_held{function="slow"} 0`, `weir_hold_seconds_count{function="slow",outcome="served"} 3`)
}

func TestOverflowIsCounted(t *testing.T) {
	r := setUp(t, with(t, "none"), "regions: { local: {}, away: { priority: 1 } }\n"+withScaler, answer(200, "hello"))
	r.call("GET", "/abroad")
	wants(t, r.page(), `weir_overflow_total{function="abroad",from="here",to="away"} 1`)
}

func TestHandedCallsAreCounted(t *testing.T) {
	r := setUp(t, with(t, "none"), withScaler, answer(200, "hello"))
	r.handsOver()
	r.call("GET", "/far")
	r.trusted = true
	close(r.platform.wait)
	r.call("GET", "/", "X-Weir-Handed: far")
	r.call("GET", "/", "X-Weir-Handed: cold") // which is nobody's but ours
	wants(t, r.page(), `weir_handed_total{function="far",direction="out"} 1`, `weir_handed_total{function="far",direction="in"} 1`,
		`weir_http_errors_total{function="_other",cause="MIS"} 1`)
}

// handsOver has another router hold what one router holds.
func (r *rig) handsOver() {
	r.t.Helper()
	r.keeper.Routers([]table.Router{{Address: "10.0.0.1:80"}, {Self: true}})
	for began := time.Now(); len(r.keeper.Table().Functions["far"].Holders()) == 0; time.Sleep(time.Millisecond) {
		if time.Since(began) > 10*time.Second {
			r.t.Fatal("nobody else holds anything")
		}
	}
}

func TestFallbacksAreCounted(t *testing.T) {
	r := setUp(t, with(t, "none"), withScaler, answer(200, "hello"))
	r.call("GET", "/late")
	r.call("GET", "/sorry")
	wants(t, r.page(),
		`weir_fallbacks_total{function="late",to="hello"} 1`,
		`weir_fallbacks_total{function="sorry",to="answer"} 1`,
		`weir_hold_seconds_count{function="late",outcome="fallback"} 1`, // by the function that it waited for
		`weir_hold_seconds_count{function="sorry",outcome="fallback"} 1`,
		`weir_http_requests_total{function="hello",region="us-east",code="200",method="GET"} 1`,
		`weir_http_requests_total{function="sorry",region="here",code="503",method="GET"} 1`,
	)
	if page := r.page(); strings.Contains(page, `weir_hold_seconds_count{function="hello"`) {
		t.Error("nobody waited for hello")
	}
	close(r.platform.wait)
}

// Copies of calls are counted by themselves, and are no calls.
func TestCopiesAreCounted(t *testing.T) {
	doc := `functions: { hello: { endpoints: ["127.0.0.1:9"] }, copied: { endpoints: ["127.0.0.1:8"] }, nobody: {} }
routes: [{ path_prefix: /, function: hello, mirror: { function: copied } }, { path_prefix: /b, function: hello, mirror: { function: nobody } }]
`
	r := setUp(t, with(t, "none"), doc, answer(503, "hello"))
	r.call("GET", "/")
	r.call("GET", "/")
	r.call("GET", "/b")
	r.await(`weir_mirrored_total{function="copied",result="answered_5xx"} 2`)
	r.await(`weir_mirrored_total{function="nobody",result="unavailable"} 1`)
	if page := r.page(); strings.Contains(page, `weir_http_requests_total{function="copied"`) || strings.Contains(page, `result="full"`) {
		t.Error("a copy is a call")
	}
	close(r.platform.wait)
}

func TestFunctionsEnd(t *testing.T) {
	tel := with(t, "none")
	first := tel.NewMeter("f").(*Meter)
	first.retries.Add(3)
	second := tel.NewMeter("f").(*Meter) // before the end of the first: goes on with the series
	first.Unregister()
	wants(t, scrape(t, tel), `weir_retries_total{function="f"} 3`)
	second.Unregister()
	if p := scrape(t, tel); strings.Contains(p, `function="f"`) {
		t.Errorf("the function has gone, but:\n%s", p)
	}
	tel.Stopped("f", "removed") // the platform is late with it
	second.Unregister()         // twice is once
	third := tel.NewMeter("f").(*Meter)
	second.Unregister() // and of an older one nothing
	wants(t, scrape(t, tel), `weir_retries_total{function="f"} 0`)
	third.Unregister()
}

func scrape(t *testing.T, tel *Telemetry) string {
	t.Helper()
	var b strings.Builder
	if err := tel.WritePrometheus(&b, Scene{}); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestTooManyFunctionsAreCountedTogether(t *testing.T) {
	tel := with(t, "none")
	for i := range maxFunctions {
		tel.NewMeter(fmt.Sprint("f", i))
	}
	for range 2 {
		tel.NewMeter("last").(*Meter).retries.Inc()
	}
	tel.Stopped("last", "idle")
	tel.NewMeter("last").Unregister() // does not end what stands for all
	wants(t, scrape(t, tel),
		`weir_retries_total{function="_overflow"} 2`,
		`weir_stops_total{function="_overflow",reason="idle"} 1`,
		`weir_telemetry_functions_dropped_total 3`,
	)
}

func TestCodesAreBounded(t *testing.T) {
	status := 200
	r := setUp(t, with(t, "none"), twoFunctions, func(x *message.Exchange) error { return answer(status, "")(x) })
	for ; status < 500; status++ {
		r.call("GET", "/")
	}
	p := r.page()
	if n := strings.Count(p, `weir_http_requests_total{function="hello"`); n != maxCodes+1 {
		t.Errorf("%d series, want %d", n, maxCodes+1)
	}
	wants(t, p, `weir_http_requests_total{function="hello",region="us-east",code="_other",method="GET"} 200`)
}

func TestReloads(t *testing.T) {
	tel := with(t, "none")
	wants(t, scrape(t, tel), `weir_config_reloads_total{result="failure"} 0`, `weir_config_last_reload_successful 1`)
	tel.Reloaded(errors.New("line 3"))
	wants(t, scrape(t, tel), `weir_config_reloads_total{result="failure"} 1`, `weir_config_last_reload_successful 0`)
	tel.Reloaded(nil)
	wants(t, scrape(t, tel), `weir_config_reloads_total{result="success"} 1`, `weir_config_last_reload_successful 1`)
}

func TestLabelsAreEscaped(t *testing.T) {
	tel := with(t, "none")
	tel.NewMeter("a\"b\\c\nd{e=\"f\"}")
	wants(t, scrape(t, tel), `weir_retries_total{function="a\"b\\c\nd{e=\"f\"}"} 0`)
}

func TestRecordFromManyGoroutines(t *testing.T) {
	tel := with(t, t.TempDir()+"/access.log")
	r := setUp(t, tel, twoFunctions, answer(200, "x"))
	var work sync.WaitGroup
	for i := range 8 {
		work.Go(func() {
			for range 200 {
				r.call([]string{"GET", "POST"}[i%2], []string{"/", "/gone", "/x"}[i%3])
			}
		})
	}
	for range 20 {
		tel.NewMeter("hello")
		_ = r.page()
		tel.Reopen()
	}
	work.Wait()
	sum := 0
	for _, m := range regexp.MustCompile(`(?m)^weir_http_requests_total\{.*\} (\d+)$`).FindAllStringSubmatch(r.page(), -1) {
		n := 0
		fmt.Sscan(m[1], &n)
		sum += n
	}
	if sum != 1600 {
		t.Errorf("%d calls counted, want 1600", sum)
	}
}

func TestRecordAllocatesNothing(t *testing.T) {
	if raced {
		t.Skip("the race detector allocates")
	}
	tel := with(t, t.TempDir()+"/access.log")
	r := setUp(t, tel, twoFunctions, answer(200, "hello"))
	r.peek = func(c *proxy.Call) {
		const runs = 2000
		for range runs {
			tel.Record(c) // until the buffer has its size
		}
		tel.access.flush()
		for range runs {
			tel.Record(c)
		}
		tel.access.flush()
		if n := testing.AllocsPerRun(runs, func() { tel.Record(c) }); n > 0 {
			t.Errorf("a record allocates %.0f times, want 0", n)
		}
	}
	r.call("GET", "/a?b", "User-Agent: curl/8.5.0", "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
}
