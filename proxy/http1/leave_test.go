package http1_test

import (
	"bufio"
	"io"
	"net"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/weir-gateway/weir/internal/moment"
	"github.com/weir-gateway/weir/proxy/table"
)

// How a client may leave.
var waysToLeave = map[string]func(c *client){
	"FIN": func(c *client) { _ = c.Close() },
	"RST": func(c *client) {
		_ = c.Conn.(*net.TCPConn).SetLinger(0)
		_ = c.Close()
	},
	"half-close": func(c *client) { _ = c.Conn.(*net.TCPConn).CloseWrite() },
}

var (
	anyWay = []string{"FIN", "RST", "half-close"}
	// Who ends their side only may still read.
	notHalf = []string{"FIN", "RST"}
)

// A standstill is a state of a call in which weir can do nothing but wait.
type standstill struct {
	name, request string
	serve         func(nc net.Conn)           // until it is so
	client        func(g *gateway, c *client) // what else the client does
	ways          []string
}

const (
	chunkedHead  = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
	chunkedStart = "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n"
)

var standstills = []standstill{
	{"the endpoint thinks", get, silent, nil, anyWay},
	{"the endpoint thinks about a body", post(2) + "hi", silent, nil, anyWay},
	{"the endpoint thinks and the next call has come", get, silent, ahead(get), anyWay},
	{"the body flows", post(1<<20) + "hi", silent, nil, anyWay},
	{"the body flows in chunks", chunkedStart, silent, nil, anyWay},
	{"the body stands still and more of it has come", post(1 << 30), deaf, untilItStands, anyWay},
	// A FIN waits at the client here, behind bytes that nobody takes: TCP has no
	// way to tell of it, and the deadline ends the call.
	{"nobody takes the body", post(1 << 30), deaf, untilNobodyTakes, []string{"RST"}},
	{"the endpoint pauses", get, saying(chunkedHead + "2\r\nhi\r\n"), nil, anyWay},
	{"the endpoint pauses and the next call has come", get, saying(chunkedHead + "2\r\nhi\r\n"), ahead(get), anyWay},
	{"the endpoint pauses in a sized body", get, saying("HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\nhi"), nil, anyWay},
	{"the endpoint pauses in a body to the close", get, saying("HTTP/1.1 200 OK\r\n\r\nhi"), nil, anyWay},
	{"the client does not read", get, flooding("HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n"), nil, notHalf},
	{"the client does not read to the close", get, flooding("HTTP/1.1 200 OK\r\n\r\n"), nil, notHalf},
	{"both flow", post(1<<20) + "hi", saying(chunkedHead + "2\r\nhi\r\n"), nil, anyWay},
}

func silent(net.Conn) {}

// deaf reads nothing, and has room for next to nothing.
func deaf(nc net.Conn) { _ = nc.(*net.TCPConn).SetReadBuffer(4 << 10) }

func saying(answer string) func(nc net.Conn) {
	return func(nc net.Conn) { _, _ = io.WriteString(nc, answer) }
}

// flooding sends until neither weir nor the client takes more.
func flooding(head string) func(nc net.Conn) {
	return func(nc net.Conn) {
		_, _ = io.WriteString(nc, head)
		untilItTakesNoMore(nc)
	}
}

func untilNobodyTakes(_ *gateway, c *client) { untilItTakesNoMore(c) }

func untilItTakesNoMore(nc net.Conn) {
	piece := make([]byte, 64<<10)
	for {
		_ = nc.SetWriteDeadline(time.Now().Add(200 * time.Millisecond))
		if _, err := nc.Write(piece); err != nil {
			return
		}
	}
}

// ahead sends what weir leaves unread while the call goes on.
func ahead(request string) func(g *gateway, c *client) {
	return func(g *gateway, c *client) {
		c.send(request)
		theirs := g.socketOf(c)
		eventually(g.t, "it has come, and nobody reads it", func() bool { return unread(theirs) == len(request) })
	}
}

// untilItStands sends until weir has left something unread for a while.
func untilItStands(g *gateway, c *client) {
	theirs := g.socketOf(c)
	piece := make([]byte, 16<<10) // less than there is room for
	for standing := 0; standing < 50; standing++ {
		if unread(theirs) > 0 {
			time.Sleep(time.Millisecond)
			continue
		}
		standing = 0
		c.send(string(piece))
	}
}

// socketOf is weir's end of a client's connection, which is in this process too.
func (g *gateway) socketOf(c *client) int {
	g.t.Helper()
	client, server := netip.MustParseAddrPort(c.LocalAddr().String()), netip.MustParseAddrPort(g.addr)
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		g.t.Skip("no /proc/self/fd: ", err)
	}
	for _, entry := range fds {
		fd, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		local, _ := unix.Getsockname(fd)
		remote, _ := unix.Getpeername(fd)
		l, isTCP := local.(*unix.SockaddrInet4)
		r, connected := remote.(*unix.SockaddrInet4)
		if isTCP && connected && netip.AddrPortFrom(netip.AddrFrom4(l.Addr), uint16(l.Port)) == server &&
			netip.AddrPortFrom(netip.AddrFrom4(r.Addr), uint16(r.Port)) == client {
			return fd
		}
	}
	g.t.Fatal("weir has no such connection")
	return 0
}

// unread is how much has come that nobody has read.
func unread(fd int) int {
	n, _ := unix.IoctlGetInt(fd, unix.TIOCINQ)
	return n
}

// The states of TCP that tests ask for, of the kernel's tcp_states.h.
const tcpEstablished, tcpCloseWait = 1, 8

func tcpState(fd int) uint8 {
	info, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
	if err != nil {
		return 0
	}
	return info.State
}

// atOnce is how soon the endpoint's connection must be closed after its client
// has left, in spells of a millisecond. The first 20 pass before weir looks.
const atOnce = 50

// A passing is how a client's leaving reached the endpoint.
type passing struct {
	spells int // of a millisecond
	took   time.Duration
}

// awaitGone waits until the peer has closed its side, without taking anything of
// what it has sent. It counts spells of a millisecond, which are sleeps and not
// time: where the process cannot go on for a while, because the machine has other
// things to do, one passes. So a bound on them holds weir to its promise, and not
// the machine; as long as one thread runs all goroutines (oneThread).
func awaitGone(nc net.Conn) (spells int) {
	rc, err := nc.(*net.TCPConn).SyscallConn()
	if err != nil {
		return 0
	}
	for gone := false; !gone && spells < 10_000; {
		_ = nc.SetReadDeadline(time.Now().Add(time.Millisecond))
		err := rc.Read(func(fd uintptr) bool {
			gone = tcpState(int(fd)) != tcpEstablished
			return gone
		})
		if err != nil {
			spells++
		}
	}
	return spells
}

// oneThread has one thread run all goroutines until the test ends: of two, the
// machine may stop the one and let the other count.
func oneThread(t *testing.T) {
	before := runtime.GOMAXPROCS(1)
	t.Cleanup(func() { runtime.GOMAXPROCS(before) })
}

// A leaving is where one standstill is played, any number of times.
type leaving struct {
	*standstill
	g    *gateway
	at   chan struct{}
	left chan time.Time
	seen chan passing
}

func (m *standstill) prepare(t testing.TB, p parts) *leaving {
	l := &leaving{standstill: m, at: make(chan struct{}), left: make(chan time.Time), seen: make(chan passing)}
	l.g = start(t, one(rawEndpoint(t, func(nc net.Conn, br *bufio.Reader) {
		if _, err := head(br); err != nil {
			return
		}
		m.serve(nc)
		l.at <- struct{}{}
		left := <-l.left
		spells := awaitGone(nc)
		l.seen <- passing{spells, time.Since(left)}
	})), p)
	return l
}

// leave has a client come to the moment and leave.
func (l *leaving) leave(way string) passing {
	c := l.g.dial()
	c.send(l.request)
	<-l.at
	if l.client != nil {
		l.client(l.g, c)
	}
	left := time.Now()
	waysToLeave[way](c)
	l.left <- left
	p := <-l.seen
	_ = c.Close()
	return p
}

// Whenever the client leaves, however it does, the try ends: the endpoint's
// connection is closed at once, and nobody but the client has a part in it.
func TestClientLeaves(t *testing.T) {
	oneThread(t)
	for _, m := range standstills {
		for _, way := range m.ways {
			t.Run(m.name+", "+way, func(t *testing.T) {
				l := m.prepare(t, parts{})
				p := l.leave(way)
				t.Logf("after %v, %d spells", p.took.Round(time.Millisecond), p.spells)
				if p.spells > atOnce {
					t.Errorf("the endpoint's connection was open for %d spells, %v", p.spells, p.took)
				}
				if r := l.g.record(1); r.cause != "DC" || r.status != 499 || r.tries != 1 {
					t.Errorf("recorded %+v", r)
				}
				if l.g.endpoint(0).Outlier.Ejected(moment.Now()) {
					t.Error("the endpoint pays for it")
				}
				l.g.closedAs(table.Canceled, 1)
			})
		}
	}
}

// How long it takes from a client's leaving to the end of the endpoint's
// connection, both seen from outside.
func BenchmarkClientLeaves(b *testing.B) {
	for _, m := range standstills {
		for _, way := range m.ways {
			b.Run(strings.ReplaceAll(m.name, " ", "_")+"/"+way, func(b *testing.B) {
				l := m.prepare(b, parts{})
				var took []time.Duration
				for b.Loop() {
					took = append(took, l.leave(way).took)
				}
				slices.Sort(took)
				ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
				b.ReportMetric(0, "ns/op") // says nothing: the way to the moment is in it
				b.ReportMetric(ms(took[len(took)/2]), "p50-ms")
				b.ReportMetric(ms(took[(len(took)-1)*99/100]), "p99-ms")
				b.ReportMetric(ms(took[len(took)-1]), "max-ms")
			})
		}
	}
}
