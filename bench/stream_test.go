package bench

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"
)

func TestStreams(t *testing.T) {
	var events, written atomic.Int64
	s := target(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/echo":
			c, err := websocket.Accept(w, r, nil)
			if err != nil {
				return
			}
			defer c.CloseNow()
			for {
				kind, p, err := c.Read(r.Context())
				if err != nil || c.Write(r.Context(), kind, p) != nil {
					return
				}
			}
		case "/events":
			w.Header().Set("Content-Type", "text/event-stream")
			for i := 0; r.Context().Err() == nil; i++ {
				_, _ = fmt.Fprintf(w, ": a comment\n\nid: %d\ndata: one\ndata: two\n\n", i)
				_ = http.NewResponseController(w).Flush()
				events.Add(1)
				time.Sleep(20 * time.Millisecond)
			}
		case "/body":
			_, _ = io.WriteString(w, strings.Repeat("x", 1000))
		case "/cut":
			w.Header().Set("Content-Length", "1000")
			_, _ = io.WriteString(w, "not so many")
		case "/take":
			n, _ := io.Copy(io.Discard, r.Body)
			written.Add(n)
		}
	})
	for _, c := range []struct {
		path   string
		stream Stream
		ok     bool
	}{
		{"/echo", Stream{Kind: "websocket"}, true},
		{"/events", Stream{Kind: "sse"}, true},
		{"/body", Stream{Kind: "slow-reader"}, true},
		{"/take", Stream{Kind: "slow-writer", Body: 350}, true},
		{"/body", Stream{Kind: "websocket"}, false},
		{"/body", Stream{Kind: "sse"}, false},
		{"/cut", Stream{Kind: "slow-reader"}, false},
	} {
		t.Run(c.stream.Kind+c.path, func(t *testing.T) {
			t.Parallel()
			c.stream.URL, c.stream.Connections, c.stream.Duration = s.Addr+c.path, 3, 2*time.Second
			c.stream.Every, c.stream.Size = 10*time.Millisecond, 100
			r, err := RunStream(t.Context(), c.stream)
			if err != nil {
				t.Fatal(err)
			}
			if good := r.Calls > 0 && r.Failed == 0; good != c.ok {
				t.Errorf("%d calls, %d failed: %q", r.Calls, r.Failed, r.Notes)
			}
			if !c.ok && r.Failed == 0 {
				t.Error("nothing failed")
			}
		})
	}
	t.Cleanup(func() {
		if n := written.Load(); n == 0 || events.Load() == 0 {
			t.Errorf("%d bytes and %d events went through", n, events.Load())
		}
	})
	if _, err := RunStream(t.Context(), Stream{Kind: "carrier-pigeon"}); err == nil {
		t.Error("pigeons are taken for streams")
	}
}
