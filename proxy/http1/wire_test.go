package http1_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write what the peers do anew into testdata/wire and docs/wire.md; review it as a reader would")

const patience = 5 * time.Second // for what is expected

// silence is after how long nothing more is. When the table is written it is
// longer: then nobody knows what is to come.
func silence() time.Duration {
	if *update {
		return 1200 * time.Millisecond
	}
	return 300 * time.Millisecond
}

// attempt gives a case to a peer; want is what it did before, and only says
// how long to wait.
func (l lane) attempt(t *testing.T, c *wireCase, want outcome) (got outcome, err error) {
	if l.addr == "" { // weir: a pooled connection would make one case depend on another
		l.weir = start(t, one(l.rec.addr), parts{})
		l.addr = l.weir.addr
	}
	l.rec.begin(c)
	nc, err := net.Dial("tcp", l.addr)
	if err != nil {
		return got, err
	}
	defer nc.Close()
	send, err := bytesOf(c.send)
	if err != nil {
		return got, err
	}
	then, err := bytesOf(c.then)
	if err != nil {
		return got, err
	}
	x := &exchange{nc: nc, br: bufio.NewReader(nc), methods: methodsOf(send + then), then: then, want: want}
	_ = nc.SetWriteDeadline(time.Now().Add(patience))
	_, _ = io.WriteString(nc, send) // a peer that refuses may not read to the end
	for x.state == "" {
		x.step()
	}
	_ = nc.Close()
	l.settle()
	return outcome{x.answers, x.state, slices.Clone(l.rec.seen())}, nil
}

// settle waits until no call is inside.
func (l lane) settle() {
	for began := time.Now(); l.weir != nil && l.weir.proxy.InFlight() > 0 && time.Since(began) < patience; {
		time.Sleep(time.Millisecond)
	}
}

// An exchange is the client's side of one case.
type exchange struct {
	nc      net.Conn
	br      *bufio.Reader
	methods []string
	then    string
	want    outcome
	answers []string
	finals  int
	state   string
}

// step reads one answer, or finds out what has become of the connection.
func (x *exchange) step() {
	complete := x.want.state != "" && len(x.answers) >= len(x.want.answers)
	if complete && x.want.state == "open" && x.then == "" {
		x.probe()
		return
	}
	wait := silence()
	if x.want.state != "" && (!complete || x.want.state == "closed") && x.then == "" {
		wait = patience
	}
	_ = x.nc.SetReadDeadline(time.Now().Add(wait))
	_, err := x.br.Peek(1)
	switch {
	case err == nil:
		x.answer()
	case timedOut(err) && x.then != "":
		x.more()
	case timedOut(err) && x.finals == 0:
		x.state = "waits"
	case timedOut(err):
		x.probe()
	default:
		x.state = "closed"
	}
}

// more sends what waited for something to come back.
func (x *exchange) more() {
	_, _ = io.WriteString(x.nc, x.then)
	x.then = ""
}

func timedOut(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}

// answer reads one answer whose first byte is here.
func (x *exchange) answer() {
	method := "GET"
	if x.finals < len(x.methods) {
		method = x.methods[x.finals]
	}
	_ = x.nc.SetReadDeadline(time.Now().Add(time.Second)) // what has begun should not take long
	r, err := http.ReadResponse(x.br, &http.Request{Method: method})
	if err != nil {
		x.answers = append(x.answers, "no HTTP")
		x.state = "closed"
		return
	}
	said := fmt.Sprint(r.StatusCode)
	if r.StatusCode == 101 {
		x.answers = append(x.answers, said+x.tunnel())
		x.state = "closed"
		return
	}
	if r.StatusCode < 200 {
		if said != "100" || !slices.Contains(x.answers, said) { // net/http sends one or two, as it comes
			x.answers = append(x.answers, said)
		}
		x.more()
		return
	}
	x.finals++
	_ = x.nc.SetReadDeadline(time.Now().Add(silence()))
	body, err := io.ReadAll(r.Body)
	if r.StatusCode < 400 || err != nil {
		if len(body) > 0 {
			said += fmt.Sprintf(" %q", short(string(body)))
		}
		if len(r.TransferEncoding) > 0 {
			said += " chunked"
		}
	} else {
		said += detail(body)
	}
	if err != nil {
		said += " cut"
		if timedOut(err) {
			said += " (stalls)"
		}
		x.state = "closed"
	}
	x.answers = append(x.answers, said)
}

// detail is what weir says of its reasons.
func detail(body []byte) string {
	var problem struct{ Detail string }
	if json.Unmarshal(body, &problem) != nil || problem.Detail == "" {
		return ""
	}
	return " (" + problem.Detail + ")"
}

// tunnel sends what is left and reads what comes back through the tunnel.
func (x *exchange) tunnel() string {
	x.more()
	_ = x.nc.SetReadDeadline(time.Now().Add(silence()))
	got := make([]byte, 100)
	n, _ := io.ReadAtLeast(x.br, got, 1)
	return fmt.Sprintf(" tunnel %q", got[:n])
}

// probe finds out whether the next request would be understood.
func (x *exchange) probe() {
	x.state = "waits"
	_ = x.nc.SetDeadline(time.Now().Add(silence()))
	if x.want.state == "open" {
		_ = x.nc.SetDeadline(time.Now().Add(patience))
	}
	if _, err := io.WriteString(x.nc, probe); err != nil {
		x.state = "closed"
		return
	}
	r, err := http.ReadResponse(x.br, nil)
	if err == nil && r.Header.Get("X-Probe") != "" {
		x.state = "open"
	} else if err == nil && x.want.state == "open" {
		x.answers = append(x.answers, fmt.Sprintf("%d unasked", r.StatusCode))
	}
}

// methodsOf guesses which requests are in the bytes.
func methodsOf(s string) (methods []string) {
	for line := range strings.SplitSeq(s, "\n") {
		if method, rest, ok := strings.Cut(line, " "); ok && strings.Contains(rest, " HTTP/") {
			methods = append(methods, method)
		}
	}
	return methods
}

// TestWire gives the bytes of every case in testdata/wire to weir and to its
// peers, and holds what they do against what is written there.
func TestWire(t *testing.T) {
	groups := readWire(t)
	var all []*wireCase
	for _, g := range groups {
		names := map[string]bool{}
		for _, c := range g.cases {
			if names[c.name] || c.clause == "" {
				t.Errorf("%s: %q is there twice, or has no clause", g.file, c.name)
			}
			names[c.name] = true
			all = append(all, c)
		}
	}
	if len(all) < 150 {
		t.Errorf("only %d cases", len(all))
	}
	versions := readVersions(t)
	t.Run("peers", func(t *testing.T) {
		for _, name := range peers {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				holdAgainst(t, name, startPeer[name](t), versions, all)
			})
		}
	})
	if *update {
		for _, g := range groups {
			if err := os.WriteFile(g.file, []byte(g.text()), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		writeVersions(t, versions)
	}
	for _, c := range all {
		if c.why == "" && c.differs() {
			t.Errorf("%s: the peers differ, and nobody says why", c.name)
		}
	}
	checkPage(t, "../../docs/wire.md", page(groups, versions))
}

// holdAgainst gives all cases to one peer.
func holdAgainst(t *testing.T, name string, p peer, versions *sync.Map, all []*wireCase) {
	known, _ := versions.Load(name)
	same := name == "weir" || known == p.version
	if *update {
		versions.Store(name, p.version)
	}
	tries := 3 // of a peer: it has its own times
	if name == "weir" && !*update {
		tries = 1
	}
	work := make(chan *wireCase)
	var done sync.WaitGroup
	var mu sync.Mutex // guards news
	news := map[*wireCase]string{}
	for _, l := range p.lanes {
		done.Go(func() {
			for c := range work {
				t.Run(c.name, func(t *testing.T) {
					writing.Lock()
					want := c.want[name]
					writing.Unlock()
					expected := readOutcome(want)
					var got outcome
					var err error
					for range tries {
						if got, err = l.attempt(t, c, expected); err != nil || got.String() == want {
							break
						}
						if *update {
							expected = outcome{} // what was expected is no guide any more
						}
					}
					switch {
					case err != nil:
						t.Error(err)
					case *update:
						mu.Lock()
						news[c] = got.String()
						mu.Unlock()
					case got.String() == want:
					case same:
						t.Errorf("\n got  %s\n want %s", got, want)
					default:
						t.Logf("%s %s, which is not the version in the table, does another thing: %s", name, p.version, got)
					}
				})
			}
		})
	}
	for _, c := range all {
		work <- c
	}
	close(work)
	done.Wait()
	writing.Lock()
	defer writing.Unlock()
	for c, got := range news {
		c.want[name] = got
	}
}

// writing guards the outcomes of all cases: the peers are at work side by side.
var writing sync.Mutex

// differs tells whether a peer makes something else of the case than weir.
func (c *wireCase) differs() bool {
	for _, name := range peers[1:] {
		if c.want[name] != "" && readOutcome(c.want[name]).verdict() != readOutcome(c.want["weir"]).verdict() {
			return true
		}
	}
	return false
}
