package http1_test

import (
	"context"
	"fmt"
	"net/http"
	"testing"

	"github.com/weir-gateway/weir/coldstart"
	"github.com/weir-gateway/weir/config"
	"github.com/weir-gateway/weir/discovery"
)

// Calls that are held when their function gets another scaler are held for that, and
// do not count twice for the function's limit; those under way end where they are.
func TestHeldCallsFollowTheirFunction(t *testing.T) {
	t.Parallel()
	one, two := &stage{}, &stage{}
	doc := func(scaler string) string {
		return "scalers: { one: { type: webhook, url: 'http://127.0.0.1:1' }, two: { type: webhook, url: 'http://127.0.0.1:1' } }\n" +
			"functions: { f: { rate_limit: { requests: 4, window: 1h, key: function }, cold_start: { scaler: " + scaler + ", concurrency: 1 }, webhook: {} } }\nroutes: [{ path_prefix: /, function: f }]\n"
	}
	g := start(t, doc("one"), parts{provider: byScaler{"one": one, "two": two}, scalers: map[string]coldstart.Scaler{"one": one, "two": two}})
	running := g.dial()
	running.send("GET /running HTTP/1.1\r\nHost: h\r\n\r\n")
	g.held(1)
	came, goOn := make(chan string), make(chan bool)
	h := func(w http.ResponseWriter, r *http.Request) {
		came <- r.URL.Path
		<-goOn
		echo(w, r)
	}
	one.raise(t, 1, h)
	if path := <-came; path != "/running" {
		t.Fatal(path)
	}
	var clients []*client
	for i := range 3 {
		c := g.dial()
		c.send(fmt.Sprintf("GET /%d HTTP/1.1\r\nHost: h\r\n\r\n", i))
		clients = append(clients, c)
		g.held(i + 1)
	}
	old := g.keeper.Table().Functions["f"]
	cfg, err := config.Parse("test.yaml", []byte("listeners: [{ address: '127.0.0.1:1' }]\n"+doc("two")))
	if err != nil {
		t.Fatal(err)
	}
	g.keeper.Propose(cfg)
	eventually(t, "they stand in the new line", func() bool {
		now := g.keeper.Table().Functions["f"]
		return now.State != old.State && now.Hold.Len() == 3 && two.ups.Load() == 1
	})
	goOn <- true
	running.want("GET", 200)
	eventually(t, "what nobody is on is stopped", func() bool { return one.downs.Load() == 1 })
	two.raise(t, 1, h)
	for range clients {
		<-came
		goOn <- true
	}
	for _, c := range clients {
		c.want("GET", 200)
	}
	if calls, _ := old.Gate.Inside(); calls != 0 {
		t.Errorf("%d calls are still inside the old function", calls)
	}
	for range 4 { // of the new one's limit nothing is used up
		c := g.dial()
		c.send(get)
		<-came
		goOn <- true
		c.want("GET", 200)
	}
}

// A byScaler is the provider of what its stages raise.
type byScaler map[string]*stage

func (b byScaler) String() string { return "stages" }

func (b byScaler) Watch(ctx context.Context, fn *config.Function, report func([]discovery.Endpoint)) error {
	return b[fn.ColdStart.Scaler].Watch(ctx, fn, report)
}
