package http1_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"
)

// A recorder is an endpoint that reads strictly, answers as it is told, and
// knows which calls reached it whole.
type recorder struct {
	addr string

	mu    sync.Mutex
	c     *wireCase // nil: answers 200
	calls []string
	conns map[net.Conn]struct{}
}

func newRecorder(t testing.TB) *recorder {
	t.Helper()
	ln := loopback(t)
	r := &recorder{addr: ln.Addr().String(), conns: map[net.Conn]struct{}{}}
	var work sync.WaitGroup
	work.Go(func() {
		for {
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			r.mu.Lock()
			r.conns[nc] = struct{}{}
			r.mu.Unlock()
			work.Go(func() {
				r.serve(nc)
				r.mu.Lock()
				delete(r.conns, nc)
				r.mu.Unlock()
				_ = nc.Close()
			})
		}
	})
	t.Cleanup(func() {
		_ = ln.Close()
		r.mu.Lock()
		for nc := range r.conns {
			_ = nc.Close()
		}
		r.mu.Unlock()
		work.Wait()
	})
	return r
}

// begin forgets what came and takes up a case.
func (r *recorder) begin(c *wireCase) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.c, r.calls = c, nil
}

// seen are the calls that came whole since begin.
func (r *recorder) seen() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.calls
}

const (
	okAnswer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
	probe    = "GET /probe HTTP/1.1\r\nHost: probe\r\n\r\n"
	probed   = "HTTP/1.1 200 OK\r\nX-Probe: yes\r\nContent-Length: 0\r\n\r\n"
)

func (r *recorder) serve(nc net.Conn) {
	br := bufio.NewReader(nc)
	for {
		_ = nc.SetDeadline(time.Now().Add(20 * time.Second))
		m, err := strictRequest(br, func(m *wireMessage) {
			if strings.EqualFold(m.get("Expect"), "100-continue") && m.get("X-Patience") == "" {
				_, _ = io.WriteString(nc, "HTTP/1.1 100 Continue\r\n\r\n")
			}
		})
		if err != nil {
			if bad := errStrict(""); errors.As(err, &bad) {
				r.note("malformed: " + string(bad))
			}
			return
		}
		if m.start[1] == "/probe" {
			_, _ = io.WriteString(nc, probed)
			continue
		}
		answer, closes := r.take(m)
		if m.start[0] == "HEAD" {
			head, _, _ := strings.Cut(answer, "\r\n\r\n")
			answer = head + "\r\n\r\n"
		}
		if _, err := io.WriteString(nc, answer); err != nil || closes {
			return
		}
		if strings.Contains(answer, "HTTP/1.1 101 ") {
			_, _ = io.Copy(nc, br)
			return
		}
	}
}

// take notes a call and tells what to answer.
func (r *recorder) take(m *wireMessage) (answer string, closes bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	call := fmt.Sprintf("%s %s %s", m.start[0], short(strings.ReplaceAll(m.get("Host"), r.addr, "endpoint")), short(m.start[1]))
	if m.start[2] != "HTTP/1.1" {
		call += " " + m.start[2]
	}
	if m.body != "" {
		call += fmt.Sprintf(" %q", short(m.body))
	}
	answer = okAnswer
	if r.c != nil {
		var shown []string
		for _, f := range append(m.fields, m.trailers...) {
			for _, name := range r.c.show {
				if strings.EqualFold(strings.Map(hyphens, f[0]), name) {
					shown = append(shown, f[0]+": "+short(f[1]))
				}
			}
		}
		if shown != nil {
			call += " {" + strings.Join(shown, ", ") + "}"
		}
		if len(r.c.answer) > 0 {
			answer, _ = bytesOf(r.c.answer)
		}
		closes = r.c.closes
	}
	r.calls = append(r.calls, call)
	return answer, closes
}

func (r *recorder) note(call string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.calls = append(r.calls, call)
}

// hyphens makes one name of those that CGI cannot tell apart.
func hyphens(c rune) rune {
	if c == '_' || c == '.' {
		return '-'
	}
	return c
}

// short is a text that fits into a table.
func short(s string) string {
	if len(s) <= 60 {
		return s
	}
	return fmt.Sprintf("%s…%d", s[:20], len(s))
}
