package bench

import (
	"strings"
	"testing"
	"time"

	"github.com/weir-gateway/weir/internal/testkit"
)

// The whole of it, short: real proxies, real figures, and a peer that nobody
// has.
func TestCompare(t *testing.T) {
	testkit.Program(t, "nginx", "nginx-light")
	testkit.Program(t, "haproxy", "haproxy")
	was := peers
	peers = append(peers[:3:3], peer{name: "no-such-proxy"})
	defer func() { peers = was }()
	c, err := Compare(t.Context(), Contest{Weir: weir, With: []string{"nginx", "haproxy", "no-such-proxy"}, Rounds: 2, Cores: 1,
		Connections: 8, Rate: 100, Length: 200 * time.Millisecond}, func(line string) { t.Log(line) })
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Standings) != 4 || len(c.Missing) != 1 {
		t.Fatalf("%d standings, missing %v", len(c.Standings), c.Missing)
	}
	for _, s := range c.Standings[1:] {
		if len(s.CPU) != 2 || s.CPU[0] <= 0 || s.P50[0] <= 0 || s.Idle <= 0 || s.Ratio.Median <= 0 || s.Ratio.Low > s.Ratio.High {
			t.Errorf("%+v", s)
		}
	}
	if r := c.Standings[1].Ratio.Median; r != 1 {
		t.Errorf("weir beside itself is %v", r)
	}
	var text, page, summary strings.Builder
	if c.WriteText(&text) != nil || c.WriteHTML(&page) != nil || c.WriteMarkdown(&summary) != nil {
		t.Fatal("cannot be written")
	}
	for _, want := range []string{"haproxy", "not measured: no-such-proxy"} {
		if !strings.Contains(text.String(), want) || !strings.Contains(page.String(), want) || !strings.Contains(summary.String(), want) {
			t.Errorf("no %q in\n%s", want, text.String())
		}
	}
}
