package http1_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weir-gateway/weir/config"
	"github.com/weir-gateway/weir/proxy/http1"
	"github.com/weir-gateway/weir/proxy/message"
	"github.com/weir-gateway/weir/proxy/table"
)

const ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

// An endpoint that was promised a body and said no may still wait for it: what
// came next on that connection would be the body.
func TestRefusedExpectEndsTheEndpointsConnection(t *testing.T) {
	var conns atomic.Int64
	addr := rawEndpoint(t, func(nc net.Conn, br *bufio.Reader) {
		conns.Add(1)
		for {
			h, err := head(br)
			if err != nil {
				return
			}
			if !strings.Contains(h, "Expect: 100-continue") {
				fmt.Fprintf(nc, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(h), h)
				continue
			}
			_, _ = io.WriteString(nc, "HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n")
			if _, err := io.CopyN(io.Discard, br, 40); err != nil {
				return
			}
		}
	})
	g := start(t, one(addr), parts{})
	c := g.dial()
	c.send("POST /login HTTP/1.1\r\nHost: h\r\nContent-Length: 40\r\nExpect: 100-continue\r\n\r\n")
	c.want("POST", 401)
	c.wantClosed() // it has no way to tell whether the body is still to come
	other := g.dial()
	other.send("GET /mine HTTP/1.1\r\nHost: h\r\n\r\n")
	if got := other.want("GET", 200); !strings.HasPrefix(got, "GET /mine HTTP/1.1\r\n") {
		t.Errorf("the endpoint understood %q", got)
	}
	if n := conns.Load(); n != 2 {
		t.Errorf("%d connections, want 2", n)
	}
}

// What belongs to the endpoint's connection passes no more in an interim head
// than in a final one.
func TestInterimFields(t *testing.T) {
	g := start(t, one(says(t, "HTTP/1.1 103 Early Hints\r\nLink: x\r\nConnection: close, X-Hop\r\nX-Hop: 1\r\nKeep-Alive: 5\r\n"+
		"Content-Length: 5\r\nUpgrade: h2c\r\nX-Own: 1\r\n\r\n"+ok)), parts{})
	c := g.dial()
	c.send(get)
	interim, err := head(c.br)
	if err != nil || interim != "HTTP/1.1 103 Early Hints\r\nLink: x\r\nX-Own: 1\r\n\r\n" {
		t.Errorf("%q, %v", interim, err)
	}
	c.want("GET", 200)
	c.send(get)
	c.want("GET", 103)
	c.want("GET", 200)
}

// An interim head has its own time to be written, however late it is.
func TestLateInterim(t *testing.T) {
	addr := rawEndpoint(t, func(nc net.Conn, br *bufio.Reader) {
		if _, err := head(br); err == nil {
			time.Sleep(60 * time.Millisecond)
			_, _ = io.WriteString(nc, "HTTP/1.1 103 Early Hints\r\n\r\n")
			time.Sleep(60 * time.Millisecond)
			_, _ = io.WriteString(nc, ok)
		}
	})
	g := start(t, one(addr), parts{prepare: func(cfg *config.Config) {
		cfg.Listeners[0].Limits.BodyProgress = 20 * time.Millisecond
	}})
	c := g.dial()
	c.send(get)
	c.want("GET", 103)
	c.want("GET", 200)
}

// A head without a reason phrase does not have that of another.
func TestReasonsAreNotMixedUp(t *testing.T) {
	g := start(t, one(says(t, "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200\r\nContent-Length: 0\r\n\r\n")), parts{})
	c := g.dial()
	c.send(get)
	c.want("GET", 103)
	if final, err := head(c.br); !strings.HasPrefix(final, "HTTP/1.1 200 \r\n") {
		t.Errorf("%q, %v", final, err)
	}
}

// What has come of an answer goes on to the client, even if the begin of the
// next chunk has come as well.
func TestChunksAreNotHeldBack(t *testing.T) {
	for _, begun := range []string{"5", "5\r", "5\r\n", "0\r\n", "0\r\n\r", "0\r\nA: b\r\n"} {
		rest := map[string]string{"5": "\r\nworld", "5\r": "\nworld", "5\r\n": "world"}[begun]
		if rest != "" {
			rest += "\r\n0\r\n\r\n"
		} else {
			rest = strings.TrimPrefix("0\r\n\r\n", begun)
			if begun == "0\r\nA: b\r\n" {
				rest = "\r\n"
			}
		}
		goOn := make(chan struct{})
		addr := rawEndpoint(t, func(nc net.Conn, br *bufio.Reader) {
			if _, err := head(br); err == nil {
				_, _ = io.WriteString(nc, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"+begun)
				<-goOn
				_, _ = io.WriteString(nc, rest)
			}
		})
		g := start(t, one(addr), parts{})
		c := g.dial()
		_ = c.SetDeadline(time.Now().Add(2 * time.Second))
		c.send(get)
		r, err := http.ReadResponse(c.br, nil)
		if err != nil {
			t.Errorf("%q: the head was held back: %v", begun, err)
			close(goOn)
			continue
		}
		b := make([]byte, 5)
		if _, err := io.ReadFull(r.Body, b); err != nil {
			t.Errorf("%q: the first chunk was held back: %v", begun, err)
		}
		close(goOn)
		if _, err := io.ReadAll(r.Body); err != nil {
			t.Errorf("%q: %v", begun, err)
		}
	}
}

// An answer that needs no body does not wait for the rest of one.
func TestAnswerDoesNotWaitForAChunk(t *testing.T) {
	g := start(t, strings.Replace(one("127.0.0.1:1"), "path_prefix: /,", "path_prefix: /f,", 1), parts{})
	for _, begun := range []string{"", "5", "5\r\n", "5\r\nhel", "5\r\nhello\r\n5\r\n", "0\r\n", "0\r\nA: b\r\n", "\r", "x"} {
		c := g.dial()
		_ = c.SetDeadline(time.Now().Add(2 * time.Second))
		c.send("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n" + begun)
		c.want("POST", 404)
		c.wantClosed()
	}
}

// The head of a request does not wait for the begin of its body.
func TestHeadGoesAheadOfAChunk(t *testing.T) {
	heads := make(chan string, 1)
	addr := rawEndpoint(t, func(nc net.Conn, br *bufio.Reader) {
		h, _ := head(br)
		heads <- h
		_, _ = io.CopyN(io.Discard, br, int64(len("5\r\nhello\r\n0\r\n\r\n")))
		_, _ = io.WriteString(nc, ok)
	})
	g := start(t, one(addr), parts{})
	c := g.dial()
	c.send("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n")
	select {
	case <-heads:
	case <-time.After(2 * time.Second):
		t.Error("the endpoint has not heard of it")
	}
	c.send("hello\r\n0\r\n\r\n")
	c.want("POST", 200)
}

// An empty line before a request may end wherever a read ends.
func TestEmptyLineAtTheEndOfTheBuffer(t *testing.T) {
	g := start(t, one(says(t, ok)), parts{})
	const first, size = "GET / HTTP/1.1\r\nHost: h\r\nA: ", 4 << 10 // of the buffer
	for spare := range 4 {
		c := g.dial()
		c.send(first + strings.Repeat("a", size-len(first)-4-spare) + "\r\n\r\n\r\n" + get)
		c.want("GET", 200)
		c.want("GET", 200)
	}
}

// An endpoint that closes its connections after every answer, and does not say
// so, is an endpoint all the same.
func TestEndpointThatClosesSilently(t *testing.T) {
	var posts atomic.Int64
	closed := make(chan struct{}, 200)
	addr := rawEndpoint(t, func(nc net.Conn, br *bufio.Reader) {
		h, err := head(br)
		if err != nil {
			return
		}
		defer func() {
			_ = nc.Close()
			closed <- struct{}{}
		}()
		if strings.HasPrefix(h, "POST") {
			posts.Add(1)
			_, _ = io.CopyN(io.Discard, br, 2)
		}
		_, _ = io.WriteString(nc, ok)
	})
	g := start(t, one(addr), parts{})
	c := g.dial()
	for range 50 {
		c.send(get)
		c.want("GET", 200)
	}
	for range 50 {
		<-closed
	}
	for range 50 {
		c.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nhi")
		c.want("POST", 200)
		<-closed
	}
	if n := posts.Load(); n != 50 {
		t.Errorf("50 calls were sent %d times", n)
	}
	if g.endpoint(0).Outlier.Ejected(time.Now()) {
		t.Error("it is set aside for that")
	}
}

// A call without a byte of body has nothing that could be lost: it is tried
// again like one without a body.
func TestEmptyBodyIsTriedAgain(t *testing.T) {
	dying := rawEndpoint(t, func(_ net.Conn, br *bufio.Reader) { _, _ = head(br) })
	for _, empty := range []string{"Content-Length: 0\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"} {
		g := start(t, one(dying, says(t, ok)), parts{})
		c := g.dial()
		for range 10 {
			c.send("PUT / HTTP/1.1\r\nHost: h\r\n" + empty)
			c.want("PUT", 200)
		}
	}
}

// The client has its answer although the endpoint does not want its body.
func TestAnswerBeforeTheBody(t *testing.T) {
	for _, framing := range []string{"Content-Length: 1000000\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\nf4240\r\n"} {
		for _, after := range []int{0, 10, 100_000} {
			ended := make(chan error, 1)
			addr := rawEndpoint(t, func(nc net.Conn, br *bufio.Reader) {
				_, _ = head(br)
				_, _ = io.CopyN(io.Discard, br, int64(after))
				_, _ = io.WriteString(nc, "HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\nno")
				_, err := io.Copy(io.Discard, br) // a clean end is the end of the connection, too
				ended <- err
			})
			g := start(t, one(addr), parts{})
			c := g.dial()
			c.send("POST / HTTP/1.1\r\nHost: h\r\n" + framing + strings.Repeat("a", max(after, 1)+100))
			if got := c.want("POST", 403); got != "no" {
				t.Errorf("%q", got)
			}
			c.wantClosed()
			select {
			case <-ended:
			case <-time.After(5 * time.Second):
				t.Error("the endpoint's connection is still open")
			}
		}
	}
}

// A client that leaves is no fault of the endpoint's.
func TestClientThatLeavesIsNoFaultOfTheEndpoint(t *testing.T) {
	seen, ended := make(chan struct{}, 1), make(chan struct{}, 1)
	addr := rawEndpoint(t, func(_ net.Conn, br *bufio.Reader) {
		if _, err := head(br); err == nil {
			seen <- struct{}{}
			_, _ = io.Copy(io.Discard, br)
			ended <- struct{}{}
		}
	})
	g := start(t, one(addr), parts{})
	requests := []string{
		get,
		"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nhi",                   // the body is over
		"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nh",                    // it is not
		"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n", // nor here
	}
	for i, request := range requests {
		for _, bluntly := range []bool{false, true} {
			c := g.dial()
			c.send(request)
			<-seen
			if bluntly {
				_ = c.Conn.(*net.TCPConn).SetLinger(0)
			}
			_ = c.Close()
			<-ended
			g.inFlight(0)
			n := 2*i + 1
			if bluntly {
				n++
			}
			if r := g.record(n); r.status != 499 || r.cause != "DC" || r.tries != 1 {
				t.Errorf("%q, bluntly %v: recorded %+v", request, bluntly, r)
			}
			if g.endpoint(0).Outlier.Ejected(time.Now()) {
				t.Errorf("%q, bluntly %v: the endpoint pays for it", request, bluntly)
			}
		}
	}
}

// A client that does not read stops the endpoint, and weir holds no more than
// its buffers.
func TestSlowReaderStopsTheEndpoint(t *testing.T) {
	for _, framing := range []string{"Content-Length: 1000000000\r\n\r\n", "\r\n"} {
		sent := make(chan int, 1)
		addr := rawEndpoint(t, func(nc net.Conn, br *bufio.Reader) {
			_, _ = head(br)
			_, _ = io.WriteString(nc, "HTTP/1.1 200 OK\r\n"+framing)
			piece, n := make([]byte, 64<<10), 0
			for {
				_ = nc.SetWriteDeadline(time.Now().Add(300 * time.Millisecond))
				m, err := nc.Write(piece)
				if n += m; err != nil {
					break
				}
			}
			sent <- n
		})
		g := start(t, one(addr), parts{})
		c := g.dial()
		c.send(get)
		if n := <-sent; n > 32<<20 { // the sockets' own buffers take some
			t.Errorf("the endpoint could send %d MiB that nobody reads", n>>20)
		}
		_ = c.Close()
		g.record(1)
	}
}

// A client that reads slowly, but does, has its answer whole.
func TestSlowReaderHasItAll(t *testing.T) {
	big := strings.Repeat("0123456789abcdef", 1<<14)
	g := start(t, one(says(t, fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(big), big))), parts{})
	c := g.dial()
	_ = c.Conn.(*net.TCPConn).SetReadBuffer(32 << 10)
	for range 2 {
		c.send(get)
		if got := c.want("GET", 200); got != big {
			t.Fatalf("%d bytes of %d", len(got), len(big))
		}
	}
}

// An uploaded body stops when the endpoint does not read.
func TestSlowEndpointStopsTheUpload(t *testing.T) {
	over := make(chan struct{})
	defer close(over)
	addr := rawEndpoint(t, func(_ net.Conn, br *bufio.Reader) {
		_, _ = head(br)
		<-over
	})
	g := start(t, strings.Replace(one(addr), "endpoints", "timeouts: { request: 1s }, endpoints", 1), parts{})
	c := g.dial()
	c.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000000\r\n\r\n")
	piece, n := make([]byte, 64<<10), 0
	for {
		_ = c.SetWriteDeadline(time.Now().Add(300 * time.Millisecond))
		m, err := c.Write(piece)
		if n += m; err != nil {
			break
		}
	}
	if n > 32<<20 {
		t.Errorf("the client could send %d MiB that nobody reads", n>>20)
	}
	c.want("POST", 504)
}

// A listener's limit of 0 is none.
func TestNoLimits(t *testing.T) {
	g := start(t, backend(t, echo), parts{prepare: func(cfg *config.Config) {
		limits := &cfg.Listeners[0].Limits
		limits.TargetBytes, limits.BodyBytes, limits.HeadTimeout, limits.BodyProgress = 0, 0, 0, 0
	}})
	c := g.dial()
	c.send("POST /a HTTP/1.1\r\nHost: h\r\nContent-Le")
	time.Sleep(5 * time.Millisecond)
	c.send("ngth: 2\r\n\r\nh")
	time.Sleep(5 * time.Millisecond)
	c.send("i")
	if got := c.want("POST", 200); got != `POST /a "hi"` {
		t.Errorf("%q", got)
	}
}

// A name that an endpoint may take for one of weir's, because CGI and its heirs
// write both alike, does not pass.
func TestNamesThatLookAlike(t *testing.T) {
	seen := make(chan string, 1)
	addr := rawEndpoint(t, func(nc net.Conn, br *bufio.Reader) {
		h, _ := head(br)
		seen <- h
		_, _ = io.WriteString(nc, ok)
	})
	g := start(t, one(addr), parts{})
	c := g.dial()
	c.send("GET / HTTP/1.1\r\nHost: h\r\nX_Forwarded_For: 9.9.9.9\r\nx_forwarded-proto: https\r\nTransfer_Encoding: chunked\r\n" +
		"Content_Length: 3\r\nX_Request_ID: x\r\nmy_own: 1\r\nContent_Type: text/plain\r\n\r\n")
	c.want("GET", 200)
	up := <-seen
	for _, not := range []string{"X_F", "x_f", "Transfer_", "Content_L", "X_R"} {
		if strings.Contains(up, not) {
			t.Errorf("the endpoint got %s in %q", not, up)
		}
	}
	if !strings.Contains(up, "my_own: 1\r\n") {
		t.Errorf("an innocent name was lost: %q", up)
	}
}

// The authority of an absolute target is the host, RFC 9112 section 3.2.2.
func TestAuthorityOfTheTargetWins(t *testing.T) {
	seen := make(chan string, 1)
	addr := rawEndpoint(t, func(nc net.Conn, br *bufio.Reader) {
		h, _ := head(br)
		seen <- h
		_, _ = io.WriteString(nc, ok)
	})
	g := start(t, "functions: { f: { endpoints: ['"+addr+"'] } }\nroutes: [{ hosts: [real.example], path_prefix: /, function: f }]\n", parts{})
	c := g.dial()
	c.send("GET http://Real.Example:80/a?b HTTP/1.1\r\nHost: other\r\n\r\n")
	c.want("GET", 200)
	up := <-seen
	if !strings.HasPrefix(up, "GET /a?b HTTP/1.1\r\nHost: Real.Example:80\r\n") || strings.Contains(up, "other") {
		t.Errorf("%q", up)
	}
	c.send("GET http://other/a HTTP/1.1\r\nHost: real.example\r\n\r\n")
	c.want("GET", 404)
}

// Nobody waits for a connection that a drain has closed.
func TestDrainDoesNotWaitForSilentClients(t *testing.T) {
	g := start(t, one(says(t, ok)), parts{})
	silent := g.dial()
	used := g.dial()
	used.send(get)
	used.want("GET", 200)
	for g.server.Open() < 2 {
		time.Sleep(time.Millisecond)
	}
	began := time.Now()
	if err := g.server.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took > 500*time.Millisecond {
		t.Errorf("took %v", took)
	}
	silent.wantClosed()
	used.wantClosed()
}

// Connections that come while the drain begins are served or closed, and none
// outlives it.
func TestDrainWhileClientsCome(t *testing.T) {
	for range 20 {
		g := start(t, one(says(t, ok)), parts{})
		var clients sync.WaitGroup
		for range 4 {
			clients.Go(func() {
				for {
					nc, err := net.Dial("tcp", g.addr)
					if err != nil {
						return
					}
					_, _ = io.WriteString(nc, get)
					_, _ = bufio.NewReader(nc).ReadString('\n')
					_ = nc.Close()
				}
			})
		}
		g.record(5)
		if err := g.server.Drain(t.Context()); err != nil {
			t.Fatal(err)
		}
		if n := g.server.Open(); n != 0 {
			t.Errorf("%d connections outlived the drain", n)
		}
		clients.Wait()
	}
}

// Two calls with a short deadline, one when that of the other has passed.
func TestDeadlineOfAnEarlierCall(t *testing.T) {
	g := start(t, strings.Replace(one(says(t, ok)), "endpoints", "timeouts: { request: 200ms }, endpoints", 1), parts{})
	c := g.dial()
	for range 2 {
		c.send(get)
		c.want("GET", 200)
		time.Sleep(300 * time.Millisecond)
	}
}

// When an endpoint has closed all its connections at once, because it was
// started anew, nobody notices.
func TestEndpointThatStartsAnew(t *testing.T) {
	var mu sync.Mutex
	var conns []net.Conn
	together := make(chan struct{})
	var waiting atomic.Int64
	addr := rawEndpoint(t, func(nc net.Conn, br *bufio.Reader) {
		mu.Lock()
		conns = append(conns, nc)
		mu.Unlock()
		for {
			h, err := head(br)
			if err != nil {
				return
			}
			if strings.HasPrefix(h, "GET /together") {
				if waiting.Add(1) == 8 {
					close(together)
				}
				<-together
			}
			_, _ = io.WriteString(nc, ok)
		}
	})
	g := start(t, one(addr), parts{})
	var clients []*client
	for range 8 {
		c := g.dial()
		c.send("GET /together HTTP/1.1\r\nHost: h\r\n\r\n")
		clients = append(clients, c)
	}
	for _, c := range clients {
		c.want("GET", 200)
	}
	mu.Lock()
	for _, nc := range conns {
		_ = nc.Close()
	}
	mu.Unlock()
	for i, c := range clients {
		c.send(get)
		c.want("GET", 200)
		if i > 0 {
			c.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n")
			c.want("POST", 200)
		}
	}
	if g.endpoint(0).Outlier.Ejected(time.Now()) {
		t.Error("it is set aside for that")
	}
}

// A body that ends with its connection is not whole if that ends badly.
func TestBodyToTheCloseThatBreaks(t *testing.T) {
	sent := make(chan struct{})
	addr := rawEndpoint(t, func(nc net.Conn, br *bufio.Reader) {
		_, _ = head(br)
		_, _ = io.WriteString(nc, "HTTP/1.1 200 OK\r\n\r\nhello")
		<-sent
		_ = nc.(*net.TCPConn).SetLinger(0)
	})
	g := start(t, one(addr), parts{})
	c := g.dial()
	c.send(get)
	r, err := http.ReadResponse(c.br, nil)
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 5)
	if _, err := io.ReadFull(r.Body, b); err != nil {
		t.Fatal(err)
	}
	close(sent)
	if rest, err := io.ReadAll(r.Body); err == nil {
		t.Errorf("a clean end after %q", rest)
	}
	if r := g.record(1); r.cause != "UC" || r.status != 200 {
		t.Errorf("recorded %+v", r)
	}
}

// The answer of a call that a drain has to wait for says that it is the last.
func TestAnswerWhileDraining(t *testing.T) {
	goOn := make(chan struct{})
	addr := rawEndpoint(t, func(nc net.Conn, br *bufio.Reader) {
		_, _ = head(br)
		<-goOn
		_, _ = io.WriteString(nc, ok)
	})
	g := start(t, one(addr), parts{})
	c := g.dial()
	c.send(get)
	g.inFlight(1)
	drained := make(chan error)
	go func() { drained <- g.server.Drain(t.Context()) }()
	for {
		nc, err := net.Dial("tcp", g.addr)
		if err != nil {
			break
		}
		_ = nc.Close()
	}
	close(goOn)
	r, body, err := c.answer("GET")
	if err != nil || body != "ok" || !r.Close {
		t.Errorf("%+v %q, %v", r, body, err)
	}
	c.wantClosed()
	if err := <-drained; err != nil {
		t.Error(err)
	}
}

// A drain whose time is over ends calls whose endpoint is silent.
func TestForcedDrain(t *testing.T) {
	for name, answer := range map[string]string{
		"thinking": "", "streaming": "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			addr := rawEndpoint(t, func(nc net.Conn, br *bufio.Reader) {
				_, _ = head(br)
				_, _ = io.WriteString(nc, answer)
				_, _ = io.Copy(io.Discard, br)
			})
			g := start(t, one(addr), parts{})
			c, uploads := g.dial(), g.dial()
			c.send(get)
			uploads.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhe")
			g.inFlight(2)
			time.Sleep(30 * time.Millisecond) // the Watcher looks at the client by then
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
			defer cancel()
			began := time.Now()
			if err := g.server.Drain(ctx); !errors.Is(err, http1.ErrForced) {
				t.Errorf("drained with %v", err)
			}
			if took := time.Since(began); took > 2*time.Second {
				t.Errorf("took %v", took)
			}
		})
	}
}

// A request that is cut at any byte, in any way, after the endpoint has seen
// what there was of it, never looks whole to the endpoint.
func TestTruncatedUploads(t *testing.T) {
	const end = "\r\n\r\n"
	for _, whole := range []string{
		"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello",
		"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n",
	} {
		heads, bodies := make(chan struct{}, 1), make(chan string, 1)
		addr := rawEndpoint(t, func(_ net.Conn, br *bufio.Reader) {
			if _, err := head(br); err != nil {
				return
			}
			heads <- struct{}{}
			body, _ := io.ReadAll(br)
			bodies <- string(body)
		})
		g := start(t, one(addr), parts{})
		for cut := strings.Index(whole, end) + len(end); cut < len(whole); cut++ {
			for _, bluntly := range []bool{false, true} {
				c := g.dial()
				c.send(whole[:cut])
				<-heads
				if bluntly {
					_ = c.Conn.(*net.TCPConn).SetLinger(0)
				}
				_ = c.Close()
				if body := <-bodies; body == "hello" || strings.HasSuffix(body, "0\r\n\r\n") {
					t.Errorf("cut at %d of %q, bluntly %v: the endpoint got %q", cut, whole, bluntly, body)
				}
			}
		}
	}
}

// An answer whose body panics.
type trap struct{ message.Upstream }

func (trap) Next() ([]byte, error) { panic("boom") }

type trapped struct{ table.Transport }

func (tr trapped) Try(x *message.Exchange) error {
	err := tr.Transport.Try(x)
	if err == nil {
		x.Up = trap{x.Up}
	}
	return err
}

// A panic in the middle of an answer ends it so that nobody takes it for whole.
func TestPanicInAnAnswer(t *testing.T) {
	for _, framing := range []string{"Content-Length: 2\r\n\r\nok", "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "\r\nok"} {
		var connections atomic.Int64
		addr := rawEndpoint(t, func(nc net.Conn, br *bufio.Reader) {
			connections.Add(1)
			defer connections.Add(-1)
			_, _ = head(br)
			_, _ = io.WriteString(nc, "HTTP/1.1 200 OK\r\n"+framing)
			_, _ = io.Copy(io.Discard, br)
		})
		g := start(t, one(addr), parts{transport: func(addr string) table.Transport { return trapped{http1.NewPool(addr)} }})
		c := g.dial()
		c.send(get)
		if r, body, err := c.answer("GET"); err == nil {
			t.Errorf("a whole answer: %d %q", r.StatusCode, body)
		}
		if r := g.record(1); r.cause != "INT" {
			t.Errorf("recorded %+v", r)
		}
		g.wantNothingLeft(&connections)
	}
}

// The time of a call begins when its head is there.
func TestSlowHeadIsNotTheCallsTime(t *testing.T) {
	g := start(t, strings.Replace(one(says(t, ok)), "endpoints", "timeouts: { request: 200ms }, endpoints", 1), parts{})
	c := g.dial()
	c.send("GET / HTTP/1.1\r\nHo")
	time.Sleep(300 * time.Millisecond)
	c.send("st: h\r\n\r\n")
	c.want("GET", 200)
}

// A client that says close and sends on all the same reads its whole answer: a
// close with unread bytes would be a reset, and might overtake it.
func TestCloseDoesNotOvertakeTheAnswer(t *testing.T) {
	long := strings.Repeat("x", 1<<20)
	g := start(t, backend(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, long) }), parts{})
	for range 20 {
		c := g.dial()
		c.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n" + strings.Repeat("GET / HTTP/1.1\r\nHost: a\r\n\r\n", 500))
		if body := c.want("GET", 200); body != long {
			t.Fatalf("%d bytes of %d", len(body), len(long))
		}
		c.wantClosed()
	}
}
