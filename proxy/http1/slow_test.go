package http1_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/weir-gateway/weir/config"
)

// A client that does not read stops the endpoint, and weir holds no more than
// its buffers.
func TestSlowReaderStopsTheEndpoint(t *testing.T) {
	t.Parallel()
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
	t.Parallel()
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

func TestSlowHeads(t *testing.T) {
	t.Parallel()
	g := start(t, backend(t, echo), parts{prepare: func(cfg *config.Config) {
		cfg.Listeners[0].Limits.HeadTimeout = 50 * time.Millisecond
	}})
	c := g.dial()
	c.send("GET / HTTP/1.1\r\nHos")
	c.want("GET", 408)
	c.wantClosed()
	// One byte at a time, but in time, is a call like any other.
	g = start(t, backend(t, echo), parts{})
	c = g.dial()
	for _, b := range []byte("GET /slow HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nhi") {
		c.send(string(b))
	}
	if got := c.want("GET", 200); got != `GET /slow "hi"` {
		t.Errorf("%q", got)
	}
}

func TestSlowBodies(t *testing.T) {
	t.Parallel()
	g := start(t, backend(t, echo), parts{prepare: func(cfg *config.Config) {
		cfg.Listeners[0].Limits.BodyProgress = 50 * time.Millisecond
	}})
	c := g.dial()
	c.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhe")
	c.want("POST", 408)
	c.wantClosed()
}

// Who is slow but makes progress is served to the end, for however long; who
// reads nothing is not.
func TestSlowButAlive(t *testing.T) {
	t.Parallel()
	const (
		size     = 3 << 20
		progress = 500 * time.Millisecond
	)
	whole := strings.Repeat("0123456789abcdef", size/16)
	addr := rawEndpoint(t, func(nc net.Conn, br *bufio.Reader) {
		m, err := strictRequest(br, nil)
		if err != nil {
			return
		}
		n := len(m.body)
		if m.start[1] == "/flood" {
			n = 1 << 40
		}
		fmt.Fprintf(nc, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", n)
		for err == nil && n > 0 {
			_, err = io.WriteString(nc, whole[:min(n, size)])
			n -= size
		}
	})
	g := start(t, one(addr), parts{prepare: func(cfg *config.Config) { cfg.Listeners[0].Limits.BodyProgress = progress }})
	c := g.dial()
	_ = c.Conn.(*net.TCPConn).SetReadBuffer(64 << 10)
	began := time.Now()
	go func() {
		fmt.Fprintf(c, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n", size)
		for at := 0; at < size; at += size / 12 {
			_, _ = io.WriteString(c, whole[at:at+size/12])
			time.Sleep(progress / 5)
		}
	}()
	m, err := finalResponse(bufio.NewReader(&slowly{Reader: c, rest: progress / 5}))
	if err != nil || m.body != whole {
		t.Fatalf("%d bytes back of %d, %v", len(m.body), size, err)
	}
	if took := time.Since(began); took < 2*progress {
		t.Errorf("took %v: nobody was slow", took)
	}
	c = g.dial()
	c.send("GET /flood HTTP/1.1\r\nHost: h\r\n\r\n")
	if r := g.record(2); r.status != 499 || r.out == 0 {
		t.Errorf("a client that reads nothing is recorded as %+v", r)
	}
}

// An endpoint that sends its head byte by byte has the call's deadline for it. Its
// body may take longer, as long as it moves.
func TestEndpointThatTrickles(t *testing.T) {
	t.Parallel()
	const answer = "HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n"
	const deadline, pause = time.Second, 100 * time.Millisecond
	gone := make(chan struct{})
	addr := rawEndpoint(t, func(nc net.Conn, br *bufio.Reader) {
		h, err := head(br)
		if err != nil {
			return
		}
		at, text := 0, answer+strings.Repeat("x", 20)
		if strings.HasPrefix(h, "GET /body") {
			at = len(answer)
			_, _ = io.WriteString(nc, answer)
		}
		for ; at < len(text); at++ {
			if _, err := io.WriteString(nc, text[at:at+1]); err != nil {
				break
			}
			time.Sleep(pause)
		}
		if strings.HasPrefix(h, "GET /head") {
			awaitGone(nc)
			close(gone)
		}
	})
	g := start(t, "defaults: { timeouts: { request: 1s, stream_idle: 1s } }\n"+one(addr), parts{})
	t.Run("calls", func(t *testing.T) {
		t.Run("head", func(t *testing.T) {
			t.Parallel()
			c := g.dial()
			c.send("GET /head HTTP/1.1\r\nHost: h\r\n\r\n")
			if body := c.want("GET", 504); !strings.Contains(body, `"cause":"UT"`) {
				t.Error(body)
			}
			<-gone
		})
		t.Run("body", func(t *testing.T) {
			t.Parallel()
			c := g.dial()
			began := time.Now()
			c.send("GET /body HTTP/1.1\r\nHost: h\r\n\r\n")
			if body := c.want("GET", 200); len(body) != 20 {
				t.Errorf("%q", body)
			}
			if took := time.Since(began); took < deadline {
				t.Errorf("took %v: nothing was longer than the deadline", took)
			}
		})
	})
}

// slowly rests after every quarter of a megabyte.
type slowly struct {
	io.Reader
	rest time.Duration
	read int
}

func (s *slowly) Read(b []byte) (int, error) {
	n, err := s.Reader.Read(b)
	if before := s.read >> 18; (s.read+n)>>18 > before {
		time.Sleep(s.rest)
	}
	s.read += n
	return n, err
}
