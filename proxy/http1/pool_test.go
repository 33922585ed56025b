package http1_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/weir-gateway/weir/internal/moment"
	"github.com/weir-gateway/weir/proxy/table"
)

// limited is a document with one function on an address, with caps.
func limited(addr, upstream, timeouts string) string {
	return fmt.Sprintf("functions: { f: { endpoints: ['%s'], upstream: { %s }, timeouts: { %s } } }\nroutes: [{ path_prefix: /, function: f }]\n", addr, upstream, timeouts)
}

// counting is an endpoint that knows how many connections it has, and had at
// most.
type counting struct{ now, most, all atomic.Int64 }

func (n *counting) serve(serve func(nc net.Conn, br *bufio.Reader)) func(nc net.Conn, br *bufio.Reader) {
	return func(nc net.Conn, br *bufio.Reader) {
		n.all.Add(1)
		now := n.now.Add(1)
		for most := n.most.Load(); now > most && !n.most.CompareAndSwap(most, now); most = n.most.Load() {
		}
		defer n.now.Add(-1)
		serve(nc, br)
	}
}

func answers(nc net.Conn, br *bufio.Reader) {
	_ = nc.SetDeadline(time.Now().Add(time.Minute))
	for {
		h, err := head(br)
		if err != nil {
			return
		}
		if strings.HasPrefix(h, "GET /slow") {
			time.Sleep(20 * time.Millisecond)
		}
		if _, err := io.WriteString(nc, ok); err != nil {
			return
		}
	}
}

// A cap on connections is kept, everybody is served, and in the order in which
// they came.
func TestMaxConnections(t *testing.T) {
	var n counting
	g := start(t, limited(rawEndpoint(t, n.serve(answers)), "max_connections: 3", ""), parts{})
	var calls sync.WaitGroup
	for range 60 {
		c := g.dial()
		calls.Go(func() {
			for range 3 {
				c.send("GET /slow HTTP/1.1\r\nHost: h\r\n\r\n")
				if r, _, err := c.answer("GET"); err != nil || r.StatusCode != 200 {
					t.Errorf("%+v, %v", r, err)
				}
			}
			_ = c.Close()
		})
	}
	calls.Wait()
	if most := n.most.Load(); most > 3 {
		t.Errorf("%d connections at once, want 3", most)
	}
	g.wantNothingLeft(&n.now)
}

func TestLineForAConnectionIsInOrder(t *testing.T) {
	goOn := make(chan struct{})
	order := make(chan string, 100)
	g := start(t, limited(rawEndpoint(t, func(nc net.Conn, br *bufio.Reader) {
		for {
			h, err := head(br)
			if err != nil {
				return
			}
			order <- strings.Fields(h)[1]
			<-goOn
			_, _ = io.WriteString(nc, ok)
		}
	}), "max_connections: 1", ""), parts{})
	var clients []*client
	for i := range 20 {
		c := g.dial()
		c.send(fmt.Sprintf("GET /%d HTTP/1.1\r\nHost: h\r\n\r\n", i))
		g.inFlight(i + 1)
		time.Sleep(2 * time.Millisecond) // in line
		clients = append(clients, c)
	}
	_ = clients[7].Close() // who leaves is passed over
	for began := time.Now(); g.endpoint(0).Link.Slots.InFlight() != 19; time.Sleep(time.Millisecond) {
		if time.Since(began) > 5*time.Second {
			t.Fatal("nobody notices that a client has left the line")
		}
	}
	if r := g.record(1); r.status != 499 || r.cause != "DC" {
		t.Errorf("recorded %+v", r)
	}
	close(goOn)
	for i, c := range clients {
		if i == 7 {
			continue
		}
		if got := <-order; got != fmt.Sprintf("/%d", i) {
			t.Errorf("%s is served when it is the turn of /%d", got, i)
		}
		c.want("GET", 200)
	}
	if g.endpoint(0).Outlier.Ejected(moment.Now()) {
		t.Error("the endpoint pays for a client that left")
	}
}

// Who waits too long for a connection is told so, and nothing was sent for it;
// who has a deadline is told when that has passed; another endpoint takes the
// call if there is one.
func TestWaitForAConnectionEnds(t *testing.T) {
	stuck := func() string {
		return rawEndpoint(t, func(_ net.Conn, br *bufio.Reader) { _, _ = io.Copy(io.Discard, br) })
	}
	f := func(upstream, timeouts string, status int, cause string) {
		t.Helper()
		g := start(t, limited(stuck(), upstream, timeouts), parts{})
		first := g.dial()
		first.send(get)
		g.inFlight(1)
		time.Sleep(10 * time.Millisecond)
		c := g.dial()
		began := time.Now()
		c.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nhi")
		r, body, err := c.answer("POST")
		if err != nil || r.StatusCode != status || !strings.Contains(body, `"cause":"`+cause+`"`) || (status == 503) != (r.Header.Get("Retry-After") != "") {
			t.Errorf("%+v %s, %v; want %d %s", r, body, err, status, cause)
		}
		if took := time.Since(began); took < 100*time.Millisecond || took > 5*time.Second {
			t.Errorf("after %v", took)
		}
		if g.endpoint(0).Outlier.Ejected(moment.Now()) {
			t.Error("the endpoint pays for it")
		}
	}
	f("max_connections: 1, max_wait: 150ms", "", 503, "OM")
	f("max_connections: 1", "request: 150ms", 504, "UT")
	f("max_connections: 1, max_wait: 0", "request: 150ms", 504, "UT")

	g := start(t, limited(stuck()+"', '"+says(t, ok), "max_connections: 1, max_wait: 50ms", ""), parts{})
	var clients []*client
	for range 6 { // whoever meets the endpoint that is stuck as the first stays there
		c := g.dial()
		c.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nhi")
		clients = append(clients, c)
		time.Sleep(5 * time.Millisecond)
	}
	served := 0
	for _, c := range clients {
		_ = c.SetReadDeadline(time.Now().Add(500 * time.Millisecond))
		if r, _, err := c.answer("POST"); err == nil && r.StatusCode == 200 {
			served++
		}
	}
	if served < 5 {
		t.Errorf("%d of 6 were served", served)
	}
}

// A thousand calls that are let go at once do not flood the endpoint, and no
// more connections are made than there are calls that wait for one.
func TestDialsAreBounded(t *testing.T) {
	const calls = 300
	// The backlog is full of connections that nobody accepts: one that is
	// dialed stays on its way, and can be counted.
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(fd)
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	name, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	addr := fmt.Sprintf("127.0.0.1:%d", name.(*syscall.SockaddrInet4).Port)
	for range 4 {
		if nc, err := net.DialTimeout("tcp", addr, 50*time.Millisecond); err == nil {
			defer nc.Close()
		}
	}
	g := start(t, limited(addr, "max_dials: 7", "connect: 300ms"), parts{})
	began := time.Now()
	var all, looks sync.WaitGroup
	over, most, once := make(chan struct{}), 0, 0
	looks.Go(func() {
		for {
			// The kernel makes the table while it is read, so a look may have
			// one that ended and the one after it: the least of a few is true.
			a, b, c := synSent(t, addr), synSent(t, addr), synSent(t, addr)
			most, once = max(most, min(a, b, c)), max(once, a, b, c)
			select {
			case <-over:
				return
			case <-time.After(time.Millisecond):
			}
		}
	})
	for range calls {
		c := g.dial()
		all.Go(func() {
			c.send(get)
			if r, _, err := c.answer("GET"); err != nil || r.StatusCode != 502 {
				t.Errorf("%+v, %v", r, err)
			}
		})
	}
	all.Wait()
	close(over)
	looks.Wait()
	if once < 1 || most > 7 { // that there are any, one look is enough to say
		t.Errorf("%d connections on their way at once, %d at the least of a few looks; want 7", once, most)
	}
	// All who waited when a dial began hear what it came to: not each after
	// the other.
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("took %v", took)
	}

	var n counting
	g = start(t, limited(rawEndpoint(t, n.serve(answers)), "max_dials: 2", ""), parts{})
	var clients []*client
	for range calls {
		clients = append(clients, g.dial())
	}
	for _, c := range clients {
		all.Go(func() {
			for range 3 {
				c.send(get)
				if r, _, err := c.answer("GET"); err != nil || r.StatusCode != 200 {
					t.Errorf("%+v, %v", r, err)
				}
			}
			_ = c.Close()
		})
	}
	all.Wait()
	if made := n.all.Load(); made > calls {
		t.Errorf("%d connections for %d calls", made, calls)
	}
	a := &g.keeper.Table().Functions["f"].Account
	eventually(t, "as many are counted as the endpoint had", func() bool { return a.Opened() == n.all.Load() }) // the last may be on its way
	t.Logf("%d connections for %d calls at once", n.all.Load(), calls)
	g.wantNothingLeft(&n.now)
}

// synSent counts the connections to an address that are on their way.
func synSent(t *testing.T, addr string) (n int) {
	t.Helper()
	file, err := os.ReadFile("/proc/net/tcp")
	if err != nil {
		t.Error(err)
	}
	remote := fmt.Sprintf("0100007F:%04X", netip.MustParseAddrPort(addr).Port())
	for line := range strings.Lines(string(file)) {
		if f := strings.Fields(line); len(f) > 3 && f[2] == remote && f[3] == "02" {
			n++
		}
	}
	return n
}

// A call that waits for its connection gets one that comes free meanwhile.
func TestFreedConnectionGoesToWhoWaits(t *testing.T) {
	var n counting
	goOn := make(chan struct{})
	serve := n.serve(func(nc net.Conn, br *bufio.Reader) {
		for {
			h, err := head(br)
			if err != nil {
				return
			}
			if strings.HasPrefix(h, "GET /first") {
				<-goOn
			}
			_, _ = io.WriteString(nc, ok)
		}
	})
	g := start(t, limited(rawEndpoint(t, serve), "max_connections: 1", ""), parts{})
	first, second := g.dial(), g.dial()
	first.send("GET /first HTTP/1.1\r\nHost: h\r\n\r\n")
	g.inFlight(1)
	second.send(get)
	g.inFlight(2)
	close(goOn)
	first.want("GET", 200)
	second.want("GET", 200)
	if all := n.all.Load(); all != 1 {
		t.Errorf("%d connections", all)
	}
}

// Everything that works over TCP works over a socket in the file system.
func TestUnixSocketsDoEverything(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f.sock")
	ln, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	began, ended := make(chan struct{}, 1), make(chan struct{}, 1)
	go func() {
		for {
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer nc.Close()
				_ = nc.SetDeadline(time.Now().Add(10 * time.Second))
				br := bufio.NewReader(nc)
				for {
					r, err := http.ReadRequest(br)
					if err != nil {
						return
					}
					switch r.URL.Path {
					case "/silent":
						began <- struct{}{}
						_, _ = io.Copy(io.Discard, br)
						ended <- struct{}{}
						return
					case "/tunnel":
						_, _ = io.WriteString(nc, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
						_, _ = io.Copy(nc, br)
						_ = nc.(*net.UnixConn).CloseWrite()
						return
					}
					body, err := io.ReadAll(r.Body)
					if err != nil {
						return
					}
					fmt.Fprintf(nc, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
					if r.URL.Path == "/last" {
						return
					}
				}
			}()
		}
	}()
	g := start(t, one("unix:"+path), parts{})
	c := g.dial()
	for _, size := range []int{0, 5, 100_000, 2 << 20} {
		body := strings.Repeat("x", size)
		go c.send(fmt.Sprintf("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n%s", size, body))
		if got := c.want("POST", 200); got != body {
			t.Errorf("%d bytes of %d", len(got), size)
		}
	}
	for range 5 { // stale
		c.send("POST /last HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nhi")
		c.want("POST", 200)
		time.Sleep(5 * time.Millisecond)
	}
	tunnel := g.dial()
	tunnel.send("GET /tunnel HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nhello")
	if r, err := http.ReadResponse(tunnel.br, nil); err != nil || r.StatusCode != 101 {
		t.Fatal(r, err)
	}
	_ = tunnel.Conn.(*net.TCPConn).CloseWrite()
	if got, err := io.ReadAll(tunnel.br); err != nil || string(got) != "hello" {
		t.Errorf("%q, %v", got, err)
	}
	leaves := g.dial()
	leaves.send("GET /silent HTTP/1.1\r\nHost: h\r\n\r\n")
	<-began
	_ = leaves.Close()
	<-ended
}

// Why connections end is told.
func TestEndsOfConnections(t *testing.T) {
	type talk struct{ answered, said chan struct{} } // with an endpoint that has something to say unasked
	var present atomic.Pointer[talk]
	f := func(name string, want table.End, serve func(nc net.Conn, br *bufio.Reader), request string, more string) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			t.Helper()
			now := &talk{make(chan struct{}), make(chan struct{}, 2)}
			present.Store(now)
			g := start(t, limited(rawEndpoint(t, serve), "", "request: 1s, idle: 300ms"), parts{})
			account := &g.keeper.Table().Functions["f"].Account
			c := g.dial()
			if request != "" {
				c.send(request)
			}
			switch more {
			case "":
				_, _, _ = c.answer("GET")
				close(now.answered)
			case "leave":
				g.inFlight(1)
				time.Sleep(50 * time.Millisecond)
				_ = c.Close()
			default:
				_, _, _ = c.answer("GET")
				close(now.answered)
				if want == table.Unsolicited {
					<-now.said
				}
				time.Sleep(10 * time.Millisecond)
				c.send(more)
				_, _, _ = c.answer("GET")
			}
			for began := time.Now(); account.Closed(want) == 0; time.Sleep(time.Millisecond) {
				if time.Since(began) > 10*time.Second {
					var got []string
					for _, end := range table.Ends() {
						if n := account.Closed(end); n > 0 {
							got = append(got, fmt.Sprint(end, " ", n))
						}
					}
					t.Fatalf("not closed as %v, but %v", want, got)
				}
			}
		})
	}
	once := func(answer string) func(nc net.Conn, br *bufio.Reader) {
		return func(nc net.Conn, br *bufio.Reader) {
			_, _ = head(br)
			_, _ = io.WriteString(nc, answer)
			_, _ = io.Copy(io.Discard, br)
		}
	}
	f("idle", table.Idle, once(ok), get, "")
	f("used", table.Used, once("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok"), get, "")
	f("extra bytes", table.ExtraBytes, once(ok+"x"), get, "")
	f("extra bytes behind the last answer", table.ExtraBytes, once("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nokay"), get, "")
	f("a body behind an answer to HEAD", table.ExtraBytes, once(ok), "HEAD / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", "")
	f("silence", table.Canceled, once(""), get, "")
	f("client gone", table.Canceled, once(""), get, "leave")
	f("client gone in the answer", table.Canceled, once("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok"), get, "leave")
	f("garbage", table.Broken, once("garbage\r\n\r\n"), get, "")
	f("cut", table.Broken, func(nc net.Conn, br *bufio.Reader) {
		_, _ = head(br)
		_, _ = io.WriteString(nc, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok")
	}, get, "")
	f("stale", table.Stale, func(nc net.Conn, br *bufio.Reader) {
		_, _ = head(br)
		_, _ = io.WriteString(nc, ok)
	}, get, get)
	unsolicited := func(nc net.Conn, br *bufio.Reader) {
		now := present.Load()
		_, _ = head(br)
		_, _ = io.WriteString(nc, ok)
		<-now.answered // and in the pool
		_, _ = io.WriteString(nc, "HTTP/1.1 408 Request Timeout\r\n\r\n")
		now.said <- struct{}{}
		_, _ = io.Copy(io.Discard, br)
	}
	f("unsolicited", table.Unsolicited, unsolicited, get, get)
	f("unsolicited, and no call comes", table.Unsolicited, unsolicited, get, "")
	f("stale, and no call comes", table.Stale, func(nc net.Conn, br *bufio.Reader) {
		_, _ = head(br)
		_, _ = io.WriteString(nc, ok)
	}, get, "")
	f("unsent", table.Unsent, once("HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\nno"), "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\nhi", "")
}
