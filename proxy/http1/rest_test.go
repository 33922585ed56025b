package http1_test

import (
	"context"
	"io"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weir-gateway/weir/config"
)

// atRest waits until no connection of a client has a goroutine.
func atRest(t *testing.T) {
	t.Helper()
	stacks := make([]byte, 1<<20)
	for began := time.Now(); strings.Contains(string(stacks[:runtime.Stack(stacks, true)]), "http1.(*Server).run("); time.Sleep(5 * time.Millisecond) {
		if time.Since(began) > 10*time.Second {
			t.Fatal("connections have goroutines still")
		}
	}
}

func TestConnectionsRestAndComeBack(t *testing.T) {
	g := start(t, backend(t, hello), parts{})
	const n = 50
	clients := make([]*client, n)
	for i := range clients {
		clients[i] = g.dial()
	}
	for range 3 {
		for i, c := range clients {
			if i%2 == 0 {
				c.send(get)
			} else {
				c.send("\r\n" + get + get)
			}
		}
		for i, c := range clients {
			c.want("GET", 200)
			if i%2 == 1 {
				c.want("GET", 200)
			}
		}
		atRest(t)
	}
	for i, c := range clients { // who leaves at rest is seen to
		if i%2 == 0 {
			_ = c.Close()
		}
	}
	for began := time.Now(); g.server.Open() != n/2; time.Sleep(time.Millisecond) {
		if time.Since(began) > 10*time.Second {
			t.Fatalf("%d connections open, want %d", g.server.Open(), n/2)
		}
	}
	if err := g.server.Drain(context.Background()); err != nil {
		t.Error(err)
	}
	for i, c := range clients {
		if i%2 == 1 {
			c.wantClosed()
		}
	}
}

// The limit of idling holds for connections at rest, those that never had a
// call too, and does not end those that are used.
func TestRestEndsWithTheIdleTime(t *testing.T) {
	t.Parallel()
	g := start(t, "defaults: { timeouts: { idle: 1s } }\n"+backend(t, hello), parts{})
	began := time.Now()
	silent, used, busy := g.dial(), g.dial(), g.dial()
	used.send(get)
	used.want("GET", 200)
	ended := make(chan time.Duration, 2)
	for _, c := range []*client{silent, used} {
		go func() {
			_, _ = io.ReadAll(c.br)
			ended <- time.Since(began)
		}()
	}
	for range 8 {
		busy.send(get)
		busy.want("GET", 200)
		time.Sleep(150 * time.Millisecond) // it rests each time
	}
	for range 2 {
		if d := <-ended; d < 750*time.Millisecond {
			t.Errorf("closed after %v, want 1 s", d)
		}
	}
	busy.send(get)
	busy.want("GET", 200)
}

// Calls come just when their connection goes to rest, and just when it is ended
// for having rested too long. None may be lost but by a close before a byte of
// its answer.
func TestCallsAroundTheRest(t *testing.T) {
	t.Parallel()
	g := start(t, backend(t, hello), parts{prepare: func(cfg *config.Config) { cfg.Defaults.Timeouts.Idle = 220 * time.Millisecond }})
	var work sync.WaitGroup
	over := time.Now().Add(2 * time.Second)
	for i := range 16 {
		work.Go(func() {
			for time.Now().Before(over) {
				c := g.dial()
				for k := 0; time.Now().Before(over); k++ {
					if _, err := io.WriteString(c, get); err != nil {
						break
					}
					r, body, err := c.answer("GET")
					if err != nil && k > 0 && (strings.Contains(err.Error(), "EOF") || strings.Contains(err.Error(), "reset")) {
						break
					}
					if err != nil || r.StatusCode != 200 || body != "hello" {
						t.Errorf("call %d: %v %q %v", k, r, body, err)
						return
					}
					time.Sleep(95*time.Millisecond + time.Duration((i*7+k*3)%14)*time.Millisecond)
					if k%4 == 3 {
						time.Sleep(time.Duration(100+i) * time.Millisecond)
					}
				}
				_ = c.Close()
			}
		})
	}
	work.Wait()
}
