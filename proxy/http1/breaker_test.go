package http1_test

import (
	"bufio"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/weir-gateway/weir/internal/moment"
)

// A function that fails is left alone, tried out after a while, and served
// again.
func TestCircuit(t *testing.T) {
	t.Parallel()
	bad := says5(500, "")
	s := script(t, bad, bad, bad, bad, ok)
	g := start(t, under("circuit_breaker: { consecutive_failures: 3, open_for: 1s, half_open_requests: 1 }", s.addr), parts{})
	c := g.dial()
	for range 3 {
		c.send(get)
		c.want("GET", 500)
	}
	c.send(get)
	r, p := c.problem(503)
	if p["cause"] != "UO" || !strings.HasSuffix(p["type"].(string), "circuit_open") || r.Header.Get("Retry-After") != "1" {
		t.Errorf("%v %v", p, r.Header)
	}
	if n := s.asked.Load(); n != 3 {
		t.Errorf("asked %d times", n)
	}
	// One more failure when it is tried out, then it is well.
	for began := time.Now(); s.asked.Load() < 5; time.Sleep(10 * time.Millisecond) {
		if time.Since(began) > 20*time.Second {
			t.Fatal("it is not tried out")
		}
		c.send(get)
		if _, _, err := c.answer("GET"); err != nil {
			t.Fatal(err)
		}
	}
	for range 10 {
		c.send(get)
		c.want("GET", 200)
	}
}

// A caller without patience does not take the function from the others.
func TestImpatientCallersOpenNoCircuit(t *testing.T) {
	t.Parallel()
	addr := rawEndpoint(t, func(nc net.Conn, br *bufio.Reader) {
		for {
			h, err := head(br)
			if err != nil {
				return
			}
			if strings.Contains(h, "/slow") {
				awaitGone(nc)
				return
			}
			_, _ = io.WriteString(nc, ok)
		}
	})
	g := start(t, under("circuit_breaker: { consecutive_failures: 1 }, outlier_detection: { consecutive_5xx: 1, max_ejection_percent: 100 }", addr), parts{})
	for range 3 {
		c := g.dial()
		c.send("GET /slow HTTP/1.1\r\nHost: h\r\nX-Request-Timeout-Ms: 20\r\n\r\n")
		c.want("GET", 504)
	}
	c := g.dial()
	c.send(get)
	c.want("GET", 200)
	if g.endpoint(0).Outlier.Ejected(moment.Now()) {
		t.Error("the endpoint pays for it")
	}
}

// Of three endpoints that fail, as many are set aside as may be.
func TestOutliers(t *testing.T) {
	t.Parallel()
	bad := says5(500, "")
	g := start(t, under("outlier_detection: { consecutive_5xx: 2, max_ejection_percent: 67 }", says(t, bad), says(t, bad), says(t, bad), says(t, ok)), parts{})
	c := g.dial()
	fn := g.keeper.Table().Functions["f"]
	eventually(t, "two are set aside", func() bool {
		c.send(get)
		_, _, err := c.answer("GET")
		return err != nil || fn.Ejections(1) == 2
	})
	for range 200 {
		c.send(get)
		if _, _, err := c.answer("GET"); err != nil {
			t.Fatal(err)
		}
	}
	aside := 0
	for n := range 4 {
		if g.endpoint(n).Outlier.Ejected(moment.Now()) {
			aside++
		}
	}
	if aside != 2 || fn.Ejections(1) != 2 {
		t.Errorf("%d of four endpoints are aside, %d ejections", aside, fn.Ejections(1))
	}
}
