package bench

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/valyala/fasthttp"
)

// A Load is what is to be done to a target, and for how long at most.
type Load struct {
	URL   string // http://host:port/path, what kinds without a URL of their own call
	Kinds []Kind // of calls, mixed by weight; none is one GET of URL

	Steps   []Step // open loop: the rate; none is a closed loop
	Poisson bool   // open loop: gaps as they are between strangers, not regular ones
	Seed    uint64 // of everything random

	Connections int
	PerConn     int           // calls before a connection is replaced, 0: keep it
	Sources     []Source      // addresses that connections come from; none is what the kernel says
	Timeout     time.Duration // deadline of each call, from the intended time
	Warmup      time.Duration // before the measurement begins
	Duration    time.Duration // of the measurement, at most
	Count       int64         // calls at most, warm-up included
	Workers     int           // event loops, each on its own core

	ShareBy string // field of answers that names who gave them, for shares over time
	Owned   string // host that is not this machine and that the operator says is theirs
	Endures bool   // go on though the target is not there any more
}

// A Kind is one sort of call.
type Kind struct {
	Name    string
	Method  string // default GET
	URL     string // default that of the load; a path is one at the same target
	Header  map[string]string
	Body    []byte
	Weight  int // default 1
	payload []byte
}

// A Source is a local address.
type Source struct {
	Address netip.Addr
	Weight  int
}

// The most that can be asked for; a slip of the finger must not take a machine
// down for a day.
const (
	mostConnections = 200_000
	mostDuration    = 24 * time.Hour
	mostKinds       = 256
)

func (l *Load) complete() error {
	if l.Connections == 0 {
		l.Connections = 64
	}
	if l.Timeout == 0 {
		l.Timeout = 10 * time.Second
	}
	if l.Duration == 0 {
		l.Duration = 10 * time.Second
	}
	if l.Count == 0 {
		l.Count = 100_000_000
	}
	if l.Workers == 0 {
		l.Workers = 1
	}
	l.Workers = min(l.Workers, l.Connections)
	if len(l.Steps) > 0 {
		l.Duration = min(l.Duration, lengthOf(l.Steps))
	}
	if len(l.Kinds) == 0 {
		l.Kinds = []Kind{{}}
	}
	switch {
	case l.Connections < 1 || l.Connections > mostConnections:
		return fmt.Errorf("connections: %d is not between 1 and %d", l.Connections, mostConnections)
	case l.Duration < 0 || l.Warmup < 0 || l.Duration+l.Warmup > mostDuration:
		return fmt.Errorf("duration: %s and a warm-up of %s are not between nothing and %s", l.Duration, l.Warmup, mostDuration)
	case l.Timeout < time.Millisecond || l.Timeout > 10*time.Minute:
		return fmt.Errorf("timeout: %s is not between 1ms and 10m", l.Timeout)
	case l.Count < 1:
		return fmt.Errorf("count: %d is less than one call", l.Count)
	case l.PerConn < 0:
		return fmt.Errorf("per-connection: %d calls are not possible", l.PerConn)
	case l.Workers < 1 || l.Workers > 64:
		return fmt.Errorf("workers: %d is not between 1 and 64", l.Workers)
	case len(l.Kinds) > mostKinds:
		return fmt.Errorf("%d kinds of calls are more than %d", len(l.Kinds), mostKinds)
	}
	return checkSteps(l.Steps)
}

// render makes the bytes of each kind of call, and tells where they go.
func (l *Load) render() (target *url.URL, err error) {
	if target, err = parseTarget(l.URL); err != nil {
		return nil, err
	}
	for i := range l.Kinds {
		if err := l.Kinds[i].render(target, l.PerConn == 1); err != nil {
			return nil, err
		}
	}
	return target, nil
}

func parseTarget(text string) (*url.URL, error) {
	if !strings.Contains(text, "://") {
		text = "http://" + text
	}
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return nil, fmt.Errorf("target: %w", err)
	case u.Scheme != "http":
		return nil, fmt.Errorf("target %s: only http:// can be measured, not %s://", text, u.Scheme)
	case u.Hostname() == "":
		return nil, fmt.Errorf("target %q has no host, want http://host:port/path", text)
	}
	if u.Port() == "" {
		u.Host = net.JoinHostPort(u.Hostname(), "80")
	}
	if u.Path == "" {
		u.Path = "/"
	}
	return u, nil
}

func (k *Kind) render(target *url.URL, once bool) error {
	at := target
	if k.URL != "" {
		relative, err := target.Parse(k.URL)
		if err != nil {
			return fmt.Errorf("kind %q: %w", k.Name, err)
		}
		if relative.Host != target.Host {
			return fmt.Errorf("kind %q goes to %s, the others to %s: one run has one target", k.Name, relative.Host, target.Host)
		}
		at = relative
	}
	if k.Weight == 0 {
		k.Weight = 1
	}
	if k.Method == "" {
		k.Method = fasthttp.MethodGet
	}
	if k.Name == "" {
		k.Name = k.Method + " " + at.RequestURI()
	}
	if k.Weight < 0 {
		return fmt.Errorf("kind %q: a weight of %d is not possible", k.Name, k.Weight)
	}
	req := fasthttp.AcquireRequest()
	defer fasthttp.ReleaseRequest(req)
	req.Header.SetNoDefaultContentType(true)
	req.Header.SetMethod(k.Method)
	req.Header.SetRequestURI(at.RequestURI())
	req.Header.SetHost(strings.TrimSuffix(target.Host, ":80"))
	req.Header.SetUserAgent("weir-bench")
	for name, value := range k.Header {
		if strings.ContainsAny(name+value, "\r\n\x00") {
			return fmt.Errorf("kind %q: the header %q has a line break", k.Name, name)
		}
		req.Header.Set(name, value)
	}
	if once {
		req.SetConnectionClose()
	}
	req.SetBody(k.Body)
	k.payload = []byte(req.String())
	if len(k.payload) == 0 {
		return fmt.Errorf("kind %q cannot be written as a request", k.Name)
	}
	return nil
}

// resolve finds the address of the target, and refuses one that is not on this
// machine unless its owner says so.
func resolve(target *url.URL, owned string) (netip.AddrPort, error) {
	host := target.Hostname()
	addr, err := net.ResolveTCPAddr("tcp", target.Host)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("target %s: %w", target.Host, err)
	}
	at := addr.AddrPort()
	if at.Addr().Unmap().IsLoopback() || owned == host {
		return netip.AddrPortFrom(at.Addr().Unmap(), at.Port()), nil
	}
	if owned != "" {
		return netip.AddrPort{}, fmt.Errorf("target %s is not %s, of which you said that you own it", host, owned)
	}
	return netip.AddrPort{}, fmt.Errorf("target %s (%s) is not this machine: a load test of somebody else's is an attack. If it is yours, say --i-own-this-target %s", host, at.Addr(), host)
}

// ErrUnreachable is a target that nobody answers at.
var ErrUnreachable = errors.New("the target cannot be reached")
