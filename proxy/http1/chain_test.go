package http1_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"
	"time"
)

// A chain of three functions, each of which calls the next through the gateway
// and says how much time it was told to have. The last one thinks until it is
// left alone.
func TestDeadlineOfAChain(t *testing.T) {
	t.Parallel()
	type told struct {
		function string
		millis   int
	}
	began, ended := make(chan told, 3), make(chan told, 3)
	var g *gateway
	serve := func(name, next string) string {
		client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			millis, _ := strconv.Atoi(r.Header.Get("X-Request-Timeout-Ms"))
			began <- told{name, millis}
			if next != "" {
				ask, _ := http.NewRequestWithContext(r.Context(), "GET", "http://"+g.addr+next, http.NoBody)
				ask.Header.Set("X-Request-Timeout-Ms", strconv.Itoa(millis))
				if res, err := client.Do(ask); err == nil {
					_ = res.Body.Close()
					w.WriteHeader(res.StatusCode)
				}
			}
			select { // its caller is gone
			case <-r.Context().Done():
				ended <- told{function: name}
			case <-time.After(20 * time.Second):
			}
		}))
		t.Cleanup(server.Close)
		return server.Listener.Addr().String()
	}
	g = start(t, fmt.Sprintf(`functions: { a: { endpoints: ['%s'] }, b: { endpoints: ['%s'] }, c: { endpoints: ['%s'] } }
routes: [{ path_prefix: /a, function: a }, { path_prefix: /b, function: b }, { path_prefix: /c, function: c }]
`, serve("a", "/b"), serve("b", "/c"), serve("c", "")), parts{})

	const whole = 2 * time.Second
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	ask, err := http.NewRequestWithContext(ctx, "GET", "http://"+g.addr+"/a", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	ask.Header.Set("X-Request-Timeout-Ms", strconv.Itoa(int(whole.Milliseconds())))
	at := time.Now()
	transport := &http.Transport{DisableKeepAlives: true}
	res, err := transport.RoundTrip(ask)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if res.StatusCode != 504 {
		t.Errorf("status %d", res.StatusCode)
	}
	if took := time.Since(at); took < whole-100*time.Millisecond {
		t.Errorf("over after %v of %v", took, whole)
	}
	last := int(whole.Milliseconds()) + 1
	for _, want := range []string{"a", "b", "c"} {
		got := <-began
		if got.function != want || got.millis <= 0 || got.millis > last {
			t.Errorf("%s was told %d ms, the one before it %d", got.function, got.millis, last)
		}
		last = got.millis
	}
	for range 3 { // all three are left
		select {
		case <-ended:
		case <-time.After(20 * time.Second):
			t.Fatal("a function still works for nobody")
		}
	}
	t.Logf("all three were left %v after the deadline", time.Since(at)-whole)
}
