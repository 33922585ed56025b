package telemetry

import (
	"bytes"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"github.com/weir-gateway/weir/coldstart"
	"github.com/weir-gateway/weir/internal/testkit"
	"github.com/weir-gateway/weir/proxy/table"
)

func TestPromtool(t *testing.T) {
	promtool := testkit.Program(t, "promtool", "prometheus")
	tel := with(t, t.TempDir()+"/access.log")
	tel.Trace(tracer{})
	var r pair
	r.rig = setUp(t, tel, "regions: { us-east: {}, local: {}, away: { priority: 1 } }\n"+strings.Replace(withScaler, "functions:\n", same, 1)+"  - { path_prefix: /same, function: same }\n", r.try(answer(200, "hello")))
	r.ask()
	r.handsOver()
	for _, path := range []string{"/", "/far", "/cold", "/gone", "/broken", "/broken", "/late", "/abroad"} {
		r.call("GET", path)
	}
	close(r.platform.wait)
	tel.NewMeter("q\"u\\o\nte")
	tel.Stopped("cold", "idle")
	tel.Prewarmed("cold", "schedule", false, 0)
	tel.Reloaded(coldstart.ErrStartTimeout)
	r.keeper.Table().Functions["cold"].Account.Close(table.Stale)
	r.keeper.Table().Functions["cold"].Mirrors.Skip(table.MirrorBody)
	var b strings.Builder
	if err := tel.WritePrometheus(&b, Scene{Table: r.keeper.Table(), Listeners: []Listener{
		{Name: ":80", Open: 1, Refused: map[string]int{"access": 3, "descriptors": 0}, Evicted: map[string]int{"connections": 4}},
		{Name: "[::]:443", Open: 2},
	}, Sources: []Source{
		{Provider: "consul", Region: "east", Failures: map[string]int64{"timeout": 1}, LastSuccess: time.Now(), FailingFrom: time.Now()},
		{Provider: "consul", Region: "west"},
	}, Recalls: []Recall{{Function: "f", Learned: time.Now()}}}); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(promtool, "check", "metrics")
	cmd.Stdin = strings.NewReader(b.String())
	if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
		t.Fatalf("%v\n%s\n%s", err, out, b.String())
	}
	for _, f := range families {
		if strings.HasPrefix(f.name, "weir_") && !strings.Contains(b.String(), "\n# TYPE "+f.name+" ") && !strings.HasPrefix(b.String(), "# HELP "+f.name+" ") {
			t.Errorf("the check did not see %s", f.name)
		}
	}
}

// A tracer has exported 1 span and lost 5.
type tracer struct{ Tracer }

func (tracer) StartEnded(string, coldstart.Phases, error) {}
func (tracer) Released(string, coldstart.Phases)          {}

func (tracer) Spans() (exported, full, failed int) { return 1, 2, 3 }

// What the library publishes and we do not is a decision: these have names
// that promtool does not like, or say what another family says.
func TestLeftOut(t *testing.T) {
	leftOut := map[string]bool{"go_cgo_calls_count": true, "go_cpu_count": true, "go_gc_forced_count": true, "go_info_ext": true, "go_memstats_lookups_total": true}
	for _, name := range libraryNames(t) {
		if newPage().section(name) == nil && !leftOut[name] {
			t.Errorf("%s is not in the table of families", name)
		}
	}
}

// libraryNames are the metrics that the library writes for the process.
func libraryNames(t *testing.T) (names []string) {
	var b bytes.Buffer
	metrics.WriteProcessMetrics(&b)
	metrics.WriteFDMetrics(&b)
	for line := range strings.Lines(b.String()) {
		names = append(names, line[:strings.IndexAny(line, "{ ")])
	}
	if len(names) < 50 {
		t.Fatalf("the library writes %d lines only", len(names))
	}
	return names
}
