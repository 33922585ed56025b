package discovery

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-gateway/weir/config"
)

// A registryStub reports what it is handed.
type registryStub struct{ reports chan []Endpoint }

func (registryStub) String() string { return "stub" }

func (s registryStub) Watch(ctx context.Context, fn *config.Function, report func([]Endpoint)) error {
	if fn.Service == "broken" {
		return errors.New("there is no such thing")
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case set := <-s.reports:
			report(set)
		}
	}
}

func routersAt(addresses ...string) (set []Endpoint) {
	for _, a := range addresses {
		set = append(set, Endpoint{ID: "x/" + a, Addr: a, Weight: 1})
	}
	return set
}

func TestPeers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var text bytes.Buffer
		log := slog.New(slog.NewTextHandler(&text, nil))
		registry := registryStub{make(chan []Endpoint)}
		var told [][]Router
		p := NewPeers(&config.Peers{Service: "weir", Self: "10.0.0.2:80"}, NewStatic(log), registry, nil,
			func(routers []Router) { told = append(told, routers) }, log)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- p.Run(ctx) }()
		is := func(what, want string) {
			t.Helper()
			synctest.Wait()
			var all []string
			for _, r := range p.Routers() {
				all = append(all, r.String())
			}
			if got := strings.Join(all, " | "); got != want {
				t.Errorf("%s: %s, want %s", what, got, want)
			}
			if len(told) > 0 && !slices.Equal(told[len(told)-1], p.Routers()) {
				t.Errorf("%s: told %v, are %v", what, told[len(told)-1], p.Routers())
			}
		}
		says := func(want string, times int) {
			t.Helper()
			if n := strings.Count(text.String(), want); n != times {
				t.Errorf("%d times %q in %s", n, want, text.String())
			}
		}

		time.Sleep(time.Hour)
		is("nobody has spoken", "")
		if len(told) != 0 {
			t.Errorf("told %v", told)
		}
		registry.reports <- routersAt("10.0.0.1:80")
		is("this one is not listed", "10.0.0.1:80 | this one, unlisted")
		<-p.Heard()
		time.Sleep(unlistedAfter / 2)
		registry.reports <- append(routersAt("10.0.0.2:80", "10.0.0.1:80", "10.0.0.1:80"),
			Endpoint{ID: "drained", Addr: "10.0.0.8:80"}, Endpoint{ID: "new", Addr: "10.0.0.9:80", Weight: 1, Unproven: true})
		is("it is", "10.0.0.1:80 | 10.0.0.2:80, this one")
		time.Sleep(time.Hour)
		says("register this router", 0)
		n := len(told)
		registry.reports <- routersAt("10.0.0.1:80", "10.0.0.2:80")
		is("the same again is no news", "10.0.0.1:80 | 10.0.0.2:80, this one")
		if len(told) != n {
			t.Errorf("told %v", told[n:])
		}
		registry.reports <- routersAt("10.0.0.2:80", "10.0.0.3:80")
		is("one left, one came", "10.0.0.2:80, this one | 10.0.0.3:80")
		says(`msg=routers now=2 before=2 joined=[10.0.0.3:80] left=[10.0.0.1:80] cause="service weir"`, 1)

		p.Use(&config.Peers{Service: "other", Self: "10.0.0.2:80"}, nil)
		is("other settings, and nobody has spoken", "10.0.0.2:80, this one | 10.0.0.3:80")
		registry.reports <- nil
		is("they list nobody", "this one, unlisted")
		time.Sleep(unlistedAfter + time.Second)
		synctest.Wait()
		says("register this router", 1)

		p.Use(&config.Peers{Addresses: []string{"10.0.0.7:80", "10.0.0.2:80"}, Self: "10.0.0.2:80"}, nil)
		is("addresses", "10.0.0.2:80, this one | 10.0.0.7:80")
		p.Use(&config.Peers{Addresses: []string{"10.0.0.7:80", "10.0.0.2:80"}}, []string{"10.0.0.7:80"})
		is("it listens elsewhere", "10.0.0.2:80 | 10.0.0.7:80, this one")
		p.Use(&config.Peers{Addresses: []string{"10.0.0.7:80", "10.0.0.2:80"}, Self: "10.0.0.2:80"}, nil)
		is("as before", "10.0.0.2:80, this one | 10.0.0.7:80")
		p.Use(&config.Peers{Service: "broken", Self: "10.0.0.2:80"}, nil)
		is("a source that gives up", "10.0.0.2:80, this one | 10.0.0.7:80")
		says("there is no such thing", 1)
		p.Use(nil, nil)
		is("alone", "")
		p.Use(nil, nil)
		registry.reports = nil
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// Without peers it is known at once that there are none.
func TestPeersWithoutPeers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		told := 0
		p := NewPeers(nil, nil, nil, nil, func(routers []Router) { told += 1 + len(routers) }, slog.New(slog.DiscardHandler))
		ctx, cancel := context.WithCancel(t.Context())
		go func() { _ = p.Run(ctx) }()
		<-p.Heard()
		cancel()
		if told != 1 {
			t.Errorf("told %d", told)
		}
	})
}

// Which addresses are this router's.
func TestOwnAddresses(t *testing.T) {
	p := &Peers{log: slog.New(slog.DiscardHandler), interfaces: func() ([]net.Addr, error) {
		return []net.Addr{
			&net.IPNet{IP: net.ParseIP("10.0.0.5"), Mask: net.CIDRMask(24, 32)},
			&net.IPNet{IP: net.ParseIP("fd00::5"), Mask: net.CIDRMask(64, 128)},
		}, nil
	}}
	for _, c := range []struct {
		listens, self string // listens with spaces between
		own, foreign  string
	}{
		{":8080", "", "10.0.0.5:8080 127.0.0.1:8080 127.1.2.3:8080 [::1]:8080 [fd00::5]:8080 [::ffff:10.0.0.5]:8080", "10.0.0.5:80 10.0.0.6:8080 [fd00::6]:8080"},
		{"[::]:8080 0.0.0.0:9", "", "10.0.0.5:8080 10.0.0.5:9", "10.0.0.5:10"},
		{"10.0.0.5:8080", "", "10.0.0.5:8080", "127.0.0.1:8080 [fd00::5]:8080"},
		{"127.0.0.1:8080", "", "127.0.0.1:8080", "10.0.0.5:8080 127.0.0.2:8080"},
		{"edge.internal:8080", "", "10.0.0.5:8080", "10.0.0.6:8080"},
		{":0", "", "", "10.0.0.5:8080"},
		{":8080", "192.0.2.1:443", "192.0.2.1:443 [::ffff:192.0.2.1]:443", "10.0.0.5:8080 192.0.2.1:8080"},
		{":8080", "[fd00::9]:443", "[fd00:0::9]:443", "10.0.0.5:8080"},
		{":8080", "", "", "unix:/run/weir.sock edge:8080"},
	} {
		owns := p.owns(c.self, strings.Fields(c.listens))
		for _, address := range strings.Fields(c.own) {
			if !owns(address) {
				t.Errorf("listening on %s, as %q: %s is not its own", c.listens, c.self, address)
			}
		}
		for _, address := range strings.Fields(c.foreign) {
			if owns(address) {
				t.Errorf("listening on %s, as %q: %s is its own", c.listens, c.self, address)
			}
		}
	}
	p.interfaces = func() ([]net.Addr, error) { return nil, errors.New("none") }
	if owns := p.owns("", []string{":8080"}); !owns("127.0.0.1:8080") || owns("10.0.0.5:8080") {
		t.Error("without interfaces only loopback is here")
	}
}
