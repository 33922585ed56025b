package http1_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// under is the document of a function with settings.
func under(settings string, addrs ...string) string {
	return strings.Replace(one(addrs...), "endpoints", settings+", endpoints", 1)
}

// A scripted endpoint gives its answers one after the other, the last one for
// ever; "" is none, until the connection ends.
type scripted struct {
	addr    string
	answers []string
	asked   atomic.Int64
	bodies  atomic.Pointer[string]
	gone    chan struct{} // gets one for each call that was left without an answer
}

func script(t testing.TB, answers ...string) *scripted {
	s := &scripted{answers: answers, gone: make(chan struct{}, 100)}
	s.addr = rawEndpoint(t, func(nc net.Conn, br *bufio.Reader) {
		for {
			h, err := head(br)
			if err != nil {
				return
			}
			if _, length, ok := strings.Cut(h, "Content-Length: "); ok {
				var n int64
				_, _ = fmt.Sscan(length, &n)
				body := make([]byte, n)
				if _, err := io.ReadFull(br, body); err != nil {
					return
				}
				text := string(body)
				s.bodies.Store(&text)
			}
			answer := s.answers[min(int(s.asked.Add(1)), len(s.answers))-1]
			if answer == "" {
				awaitGone(nc)
				s.gone <- struct{}{}
				return
			}
			if _, err := io.WriteString(nc, answer); err != nil {
				return
			}
		}
	})
	return s
}

func says5(status int, fields string) string {
	return fmt.Sprintf("HTTP/1.1 %d No\r\n%sContent-Length: 2\r\n\r\nno", status, fields)
}

const quick = "backoff: { base: 1ms, max: 2ms }, budget: { percent: 100, min_per_second: 10 }"

func TestRetryAfterAnswers(t *testing.T) {
	t.Parallel()
	f := func(name, rules, request string, status, tries int, answers ...string) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			s := script(t, answers...)
			g := start(t, under("retries: { "+rules+", "+quick+" }", s.addr), parts{})
			c := g.dial()
			c.send(request)
			method, _, _ := strings.Cut(request, " ")
			body := c.want(method, status)
			if status >= 400 && body != "no" {
				t.Errorf("the endpoint's own answer became %q", body)
			}
			if n := int(s.asked.Load()); n != tries {
				t.Errorf("asked %d times, want %d", n, tries)
			}
			if r := g.record(1); r.tries != tries || r.status != status {
				t.Errorf("recorded %+v", r)
			}
			if sent := s.bodies.Load(); strings.HasSuffix(request, "hello") && (sent == nil || *sent != "hello") {
				t.Errorf("the last body was %v", sent)
			}
		})
	}
	const put = "PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello"
	keyed := strings.Replace(post(5), "\r\n\r\n", "\r\nIdempotency-Key: k\r\n\r\nhello", 1)
	bad, busy := says5(502, ""), says5(503, "")
	f("well the second time", "retry_on: [502, 503]", get, 200, 2, bad, ok)
	f("well the third time", "retry_on: [5xx]", get, 200, 3, bad, busy, ok)
	f("as often as it may", "retry_on: [503], attempts: 2", get, 503, 3, busy)
	f("never", "retry_on: [503], attempts: 0", get, 503, 1, busy)
	f("of another status", "retry_on: [503]", get, 502, 1, bad)
	f("a client's mistake", "retry_on: [5xx]", get, 404, 1, says5(404, ""))
	f("too early", "retry_on: [425]", get, 200, 2, says5(425, ""), ok)
	f("with a body", "retry_on: [503]", put, 200, 2, busy, ok)
	f("not idempotent", "retry_on: [503]", post(5)+"hello", 503, 1, busy)
	f("said to be idempotent", "retry_on: [503]", keyed, 200, 2, busy, ok)
	f("after half a second by its own word", "retry_on: [503]", get, 200, 2, says5(503, "Retry-After: 0\r\n"), ok)
	f("not for so long", "retry_on: [503]", get, 503, 1, says5(503, "Retry-After: 3600\r\n"))
	f("not until then", "retry_on: [503]", get, 503, 1, says5(503, "Retry-After: Fri, 31 Dec 2038 23:59:59 GMT\r\n"))
}

// Retry-After is waited for.
func TestRetryAfterIsHonoured(t *testing.T) {
	t.Parallel()
	s := script(t, says5(503, "Retry-After: 1\r\n"), ok)
	g := start(t, under("retries: { retry_on: [503], "+quick+" }", s.addr), parts{})
	c := g.dial()
	began := time.Now()
	c.send(get)
	c.want("GET", 200)
	if took := time.Since(began); took < time.Second {
		t.Errorf("it came again after %v", took)
	}
}

// A further try goes where the call has not been, as long as there is such a
// place.
func TestRetryGoesElsewhere(t *testing.T) {
	t.Parallel()
	bad := []*scripted{script(t, says5(503, "")), script(t, says5(503, "")), script(t, says5(503, ""))}
	g := start(t, under("retries: { attempts: 3, retry_on: [503], "+quick+" }", bad[0].addr, bad[1].addr, bad[2].addr, says(t, ok)), parts{})
	c := g.dial()
	for range 20 {
		c.send(get)
		c.want("GET", 200)
	}
	for i := range 20 {
		if n := g.record(i + 1).tries; n > 4 {
			t.Errorf("%d tries among four endpoints", n)
		}
	}
}

// What was not sent is sent elsewhere whatever the method; what may have been
// is not.
func TestRetryOfPost(t *testing.T) {
	t.Parallel()
	g := start(t, under("retries: { "+quick+" }", refuses(t), says(t, ok)), parts{})
	c := g.dial()
	for range 10 {
		c.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n")
		c.want("POST", 200)
	}
	var came atomic.Int64
	dying := rawEndpoint(t, func(_ net.Conn, br *bufio.Reader) {
		_, _ = head(br)
		came.Add(1)
	})
	g = start(t, under("retries: { attempts: 5, retry_on: [connect_failure, reset, 5xx], "+quick+" }", dying, says(t, ok)), parts{})
	c = g.dial()
	for range 10 {
		c.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n")
		if r, _, err := c.answer("POST"); err != nil {
			t.Fatal(err)
		} else if r.StatusCode == 200 {
			continue
		}
	}
	for i := range 10 {
		if r := g.record(i + 1); r.tries != 1 {
			t.Errorf("a POST was tried %d times", r.tries)
		}
	}
}

// The budget bounds the tries of all calls together.
func TestRetryBudget(t *testing.T) {
	t.Parallel()
	s := script(t, says5(503, ""))
	g := start(t, under("retries: { attempts: 3, retry_on: [503], backoff: { base: 0s, max: 0s }, budget: { percent: 20, min_per_second: 0 } }", s.addr), parts{})
	c := g.dial()
	const calls = 200
	for range calls {
		c.send(get)
		c.want("GET", 503)
	}
	if n := s.asked.Load(); n < calls || n > calls*12/10 {
		t.Errorf("%d tries for %d calls", n, calls)
	}
	if refused := g.keeper.Table().Functions["f"].Budget.Refused(); refused == 0 {
		t.Error("no try was refused")
	}
}

// A try that takes too long is ended, its connection closed, and another may
// follow; a call without time is a 504.
func TestPerTry(t *testing.T) {
	t.Parallel()
	slow, fast := script(t, ""), says(t, ok)
	g := start(t, under("timeouts: { per_try: 500ms }, retries: { retry_on: [504], "+quick+" }", slow.addr, fast), parts{})
	c := g.dial()
	for range 10 {
		c.send(get)
		c.want("GET", 200)
	}
	for n := slow.asked.Load(); n > 0; n-- {
		<-slow.gone
	}
	if slow.asked.Load() == 0 {
		t.Error("two choices of ten never fell on the slow one")
	}

	slow = script(t, "")
	g = start(t, under("timeouts: { per_try: 500ms }", slow.addr), parts{})
	c = g.dial()
	c.send(get)
	c.want("GET", 504)
	<-slow.gone
	if r := g.record(1); r.tries != 1 || r.cause != "UT" {
		t.Errorf("without rules: %+v", r)
	}

	slow = script(t, "")
	g = start(t, under("timeouts: { request: 1750ms, per_try: 500ms }, retries: { attempts: 10, retry_on: [504], "+quick+" }", slow.addr), parts{})
	c = g.dial()
	c.send(get)
	c.want("GET", 504)
	if r := g.record(1); r.tries < 2 || r.tries > 4 {
		t.Errorf("1750 ms in tries of 500: %+v", r)
	}
}

// A client that leaves during the wait before the next try ends it.
func TestClientLeavesBeforeTheNextTry(t *testing.T) {
	t.Parallel()
	s := script(t, says5(503, "Retry-After: 9\r\n"), ok)
	g := start(t, under("retries: { retry_on: [503] }", s.addr), parts{})
	c := g.dial()
	c.send(get)
	eventually(t, "the first try", func() bool { return s.asked.Load() == 1 })
	_ = c.Close()
	if r := g.record(1); r.status != 499 || r.tries != 1 {
		t.Errorf("recorded %+v", r)
	}
}
