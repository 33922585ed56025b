package bench

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// echo is the function's end of a WebSocket.
func echo(w http.ResponseWriter, r *http.Request) {
	c, err := websocket.Accept(w, r, nil)
	if err != nil {
		return
	}
	c.SetReadLimit(1 << 20)
	for {
		kind, message, err := c.Read(r.Context())
		if err != nil || c.Write(r.Context(), kind, message) != nil {
			return
		}
	}
}

// TestWebSocketThroughAColdStart: a WebSocket opened at a function at zero is
// held like any call, talks, keeps its instance from being put back, and is
// closed in good order.
func TestWebSocketThroughAColdStart(t *testing.T) {
	l := run(t, "", function("f", "fd", 200*time.Millisecond, "idle_after: 100ms, min_up: 1ms"))
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	began := time.Now()
	c, response, err := websocket.Dial(ctx, "ws://"+l.addr+"/f", nil)
	if err != nil {
		t.Fatal(err)
	}
	c.SetReadLimit(1 << 20)
	if response.StatusCode != http.StatusSwitchingProtocols {
		t.Errorf("status %d", response.StatusCode)
	}
	if took := time.Since(began); took < 200*time.Millisecond {
		t.Errorf("open after %v: the function was not at zero", took)
	}
	for _, message := range []string{"one", strings.Repeat("long", 64<<10), ""} {
		time.Sleep(150 * time.Millisecond) // longer than idle_after
		if err := c.Write(ctx, websocket.MessageBinary, []byte(message)); err != nil {
			t.Fatal(err)
		}
		if _, got, err := c.Read(ctx); err != nil || string(got) != message {
			t.Fatalf("%d bytes came back of %d, %v", len(got), len(message), err)
		}
	}
	if err := c.Close(websocket.StatusNormalClosure, "done"); err != nil {
		t.Error(err)
	}
	if starts := l.starts("f"); starts != 1 {
		t.Errorf("%v starts: the instance was put back under the tunnel", starts)
	}
	await(t, "the instance to be put back", func() bool { return l.metric(`weir_stops_total{function="f",reason="idle"}`) == 1 })
}
