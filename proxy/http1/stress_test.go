package http1_test

import (
	"bufio"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// everything is given back in the end: nobody is inside, and no slot is taken.
func (g *gateway) wantNothingLeft(connections *atomic.Int64) {
	g.t.Helper()
	f := g.keeper.Table().Functions["f"]
	left := func() (found []string) {
		if n, _ := f.Gate.Inside(); n != 0 {
			found = append(found, fmt.Sprintf("%d inside the gate", n))
		}
		for _, ep := range f.Set().Endpoints {
			if n := ep.Link.Slots.InFlight(); n != 0 {
				found = append(found, fmt.Sprintf("%d slots taken at %s", n, ep.Addr))
			}
		}
		if n := f.Hold.Len(); n != 0 {
			found = append(found, fmt.Sprintf("%d held", n))
		}
		if n := g.proxy.InFlight(); n != 0 {
			found = append(found, fmt.Sprintf("%d in flight", n))
		}
		if n := g.server.Open(); n != 0 {
			found = append(found, fmt.Sprintf("%d clients connected", n))
		}
		return found
	}
	wait := func(what func() []string) {
		g.t.Helper()
		for began := time.Now(); ; time.Sleep(time.Millisecond) {
			found := what()
			if len(found) == 0 {
				return
			}
			if time.Since(began) > 10*time.Second {
				g.t.Fatal("left in the end: ", strings.Join(found, ", "))
			}
		}
	}
	wait(left)
	for _, ep := range f.Set().Endpoints {
		ep.Conns.CloseIdle()
	}
	wait(func() []string {
		if n := connections.Load(); n != 0 {
			return []string{fmt.Sprintf("%d connections to the endpoint", n)}
		}
		return nil
	})
}

// cancelsFor is for how long TestCancelNeverHitsAnotherCall goes on.
var cancelsFor = flag.Duration("cancels", time.Second, "how long clients leave about when their answers come")

// A cancel that comes late must not hit the call that the connection carries
// by then. Clients leave about when their answer comes, which is about when the
// Watcher begins to look at them; those who stay lose nothing.
func TestCancelNeverHitsAnotherCall(t *testing.T) {
	var connections, cut atomic.Int64
	addr := rawEndpoint(t, func(nc net.Conn, br *bufio.Reader) {
		connections.Add(1)
		defer connections.Add(-1)
		_ = nc.SetDeadline(time.Now().Add(time.Minute))
		for {
			h, err := head(br)
			if err != nil {
				if len(h) > 0 {
					cut.Add(1)
				}
				return
			}
			stays := strings.HasPrefix(h, "POST /stays")
			body := make([]byte, 20)
			if _, err := io.ReadFull(br, body); err != nil {
				if stays {
					cut.Add(1)
				}
				return
			}
			if !stays {
				time.Sleep(19*time.Millisecond + time.Duration(rand.IntN(3000))*time.Microsecond)
			}
			if _, err := fmt.Fprintf(nc, "HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n%s", body); err != nil && stays {
				cut.Add(1)
			}
		}
	})
	g := start(t, one(addr), parts{})
	g.quiet = true
	over := make(chan struct{})
	var leavers, stayers sync.WaitGroup
	var calls atomic.Int64
	for range 30 {
		leavers.Go(func() {
			for {
				select {
				case <-over:
					return
				default:
				}
				nc, err := net.Dial("tcp", g.addr)
				if err != nil {
					t.Error(err)
					return
				}
				_, _ = io.WriteString(nc, "POST /leaves HTTP/1.1\r\nHost: h\r\nContent-Length: 20\r\n\r\n01234567890123456789")
				time.Sleep(19*time.Millisecond + time.Duration(rand.IntN(4000))*time.Microsecond)
				_ = nc.Close()
			}
		})
	}
	for who := range 4 {
		stayers.Go(func() {
			nc, err := net.Dial("tcp", g.addr)
			if err != nil {
				t.Error(err)
				return
			}
			defer nc.Close()
			_ = nc.SetDeadline(time.Now().Add(time.Minute))
			br := bufio.NewReader(nc)
			for began := time.Now(); time.Since(began) < *cancelsFor; {
				body := fmt.Sprintf("%d %018d", who, calls.Add(1))
				fmt.Fprintf(nc, "POST /stays HTTP/1.1\r\nHost: h\r\nContent-Length: 20\r\n\r\n%s", body)
				r, err := http.ReadResponse(br, nil)
				if err != nil {
					t.Error(err)
					return
				}
				got, err := io.ReadAll(r.Body)
				if err != nil || r.StatusCode != 200 || string(got) != body {
					t.Errorf("%d %q, %v; want %q", r.StatusCode, got, err, body)
					return
				}
			}
		})
	}
	stayers.Wait()
	close(over)
	leavers.Wait()
	if n := cut.Load(); n != 0 {
		t.Errorf("%d calls of clients that stayed were cut", n)
	}
	t.Logf("%d calls stayed", calls.Load())
	g.wantNothingLeft(&connections)
}

// moody is an endpoint that does what the path says.
func moody(nc net.Conn, br *bufio.Reader) {
	_ = nc.SetDeadline(time.Now().Add(time.Minute))
	for {
		h, err := head(br)
		if err != nil {
			return
		}
		path := strings.Fields(h)[1]
		kind, _, _ := strings.Cut(path[1:], "/")
		switch kind { // before the body
		case "mute":
			_, _ = io.Copy(io.Discard, br)
			return
		case "early":
			fmt.Fprintf(nc, "HTTP/1.1 403 No\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s", len(path), path)
			return
		case "dies":
			_ = nc.(*net.TCPConn).SetLinger(0)
			return
		case "garbage":
			_, _ = io.WriteString(nc, "SSH-2.0-OpenSSH_9.6\r\n\r\n")
			return
		}
		r, err := http.ReadRequest(bufio.NewReader(io.MultiReader(strings.NewReader(h), br)))
		if err != nil {
			return
		}
		if r.Header.Get("Expect") != "" {
			_, _ = io.WriteString(nc, "HTTP/1.1 100 Continue\r\n\r\n")
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		if kind == "hints" {
			_, _ = io.WriteString(nc, "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n")
		}
		answer := path + string(body)
		switch kind {
		case "toclose":
			fmt.Fprintf(nc, "HTTP/1.1 200 OK\r\n\r\n%s", answer)
			return
		case "cut":
			fmt.Fprintf(nc, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(answer)+1, answer)
			return
		case "chunks":
			_, _ = io.WriteString(nc, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
			for i := range answer {
				fmt.Fprintf(nc, "1\r\n%c\r\n", answer[i])
			}
			_, _ = io.WriteString(nc, "0\r\n\r\n")
		default:
			fmt.Fprintf(nc, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(answer), answer)
		}
		if br.Buffered() > 0 {
			return // ReadRequest has its own buffer: nothing may be lost in it
		}
	}
}

// Everything at once: whoever gets an answer gets their own, and in the end
// nothing is left.
func TestEverythingAtOnce(t *testing.T) {
	t.Parallel()
	var connections atomic.Int64
	addr := rawEndpoint(t, func(nc net.Conn, br *bufio.Reader) {
		connections.Add(1)
		defer connections.Add(-1)
		moody(nc, br)
	})
	g := start(t, one(addr), parts{})
	g.quiet = true
	kinds := []string{"mute", "early", "dies", "garbage", "hints", "toclose", "cut", "chunks", "fine", "fine", "fine", "fine", "hints", "chunks", "fine", "fine"}
	allowed := map[string]string{
		"mute": "504", "early": "403 502", "dies": "502", "garbage": "502", "cut": "cut",
	}
	var clients sync.WaitGroup
	var serial atomic.Int64
	for range 24 {
		clients.Go(func() {
			var nc net.Conn
			var br *bufio.Reader
			hangUp := func() {
				if nc != nil {
					_ = nc.Close()
				}
				nc = nil
			}
			defer hangUp()
			for range 25 {
				if nc == nil {
					var err error
					if nc, err = net.Dial("tcp", g.addr); err != nil {
						t.Error(err)
						return
					}
					_ = nc.SetDeadline(time.Now().Add(time.Minute))
					br = bufio.NewReader(nc)
				}
				kind := kinds[rand.IntN(len(kinds))]
				path := fmt.Sprintf("/%s/%d", kind, serial.Add(1))
				body := strings.Repeat("b", rand.IntN(3)*rand.IntN(8000))
				start := path + " HTTP/1.1\r\nHost: h\r\n"
				if kind == "mute" { // the others have all the time there is, whatever else the machine does
					start += "X-Request-Timeout-Ms: 100\r\n"
				}
				var request string
				switch rand.IntN(3) {
				case 0:
					body = ""
					request = "GET " + start + "\r\n"
				case 1:
					request = fmt.Sprintf("POST %sContent-Length: %d\r\n\r\n%s", start, len(body), body)
				case 2:
					request = "POST " + start + "Transfer-Encoding: chunked\r\n\r\n"
					if len(body) > 0 {
						request += fmt.Sprintf("%x\r\n%s\r\n", len(body), body)
					}
					request += "0\r\n\r\n"
				}
				if rand.IntN(8) == 0 { // leaves in the middle
					_, _ = io.WriteString(nc, request[:rand.IntN(len(request))])
					hangUp()
					continue
				}
				if rand.IntN(8) == 0 { // leaves before the answer
					_, _ = io.WriteString(nc, request)
					time.Sleep(time.Duration(rand.IntN(40)) * time.Millisecond)
					hangUp()
					continue
				}
				_, _ = io.WriteString(nc, request)
				r, err := http.ReadResponse(br, nil)
				for err == nil && r.StatusCode == 103 {
					r, err = http.ReadResponse(br, nil)
				}
				var got []byte
				status := "cut"
				if err == nil {
					if got, err = io.ReadAll(r.Body); err == nil {
						status = fmt.Sprint(r.StatusCode)
					}
				}
				want, special := allowed[kind]
				if !special {
					want = "200"
				}
				if !strings.Contains(want, status) {
					t.Errorf("%s: %s %q, %v; want %s", path, status, got[:min(len(got), 200)], err, want)
				}
				if status == "200" && string(got) != path+body || status == "403" && string(got) != path {
					t.Errorf("%s: has the answer %q", path, got[:min(len(got), 50)])
				}
				if status == "cut" || r.Close {
					hangUp()
				}
			}
		})
	}
	clients.Wait()
	g.wantNothingLeft(&connections)
}
