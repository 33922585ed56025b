package dns

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
	"go.uber.org/goleak"

	"github.com/weir-gateway/weir/config"
	"github.com/weir-gateway/weir/discovery"
	"github.com/weir-gateway/weir/discovery/providertest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// settings ask so often that a test sees it.
func settings(servers ...string) config.DNSDiscovery {
	return config.DNSDiscovery{
		Servers: servers, Timeout: 100 * time.Millisecond,
		MinTTL: 20 * time.Millisecond, MaxTTL: 50 * time.Millisecond, EmptyAfter: time.Second,
	}
}

func suite(t *testing.T, most int, open func(s *server) providertest.Source) {
	providertest.Run(t, providertest.Subject{
		Most: most, Silence: 500 * time.Millisecond,
		Open: func(t testing.TB, log *slog.Logger) providertest.Source {
			s := serve(t)
			src := open(s)
			src.Provider = New(settings(s.addr), log)
			src.Garble = func(function string) {
				s.with(func() { s.rcode[function+".internal."] = dns.RcodeServerFailure })
			}
			src.Away = func() func() {
				s.with(func() { s.mute = true })
				return func() { s.with(func() { s.mute = false }) }
			}
			put := src.Put
			src.Put = func(function string, eps []discovery.Endpoint) {
				put(function, eps)
				s.with(func() { delete(s.rcode, function+".internal.") })
			}
			return src
		},
	})
}

func TestAddressesAsAProvider(t *testing.T) {
	suite(t, 2000, func(s *server) providertest.Source {
		put := func(function string, eps []discovery.Endpoint, more ...string) {
			name := function + ".internal."
			records := more
			for _, ep := range eps {
				records = append(records, record(name, "A", netip.MustParseAddrPort(ep.Addr).Addr().String(), time.Minute))
			}
			if len(records) == 0 {
				s.drop(name)
			} else {
				s.set(records...)
			}
		}
		return providertest.Source{
			Function: func(name string) config.Function {
				return config.Function{Name: name, Service: "dns:" + name + ".internal:8080"}
			},
			Says:     func(ep discovery.Endpoint) discovery.Endpoint { return discovery.Endpoint{Addr: ep.Addr, Weight: 1} },
			Put:      func(function string, eps []discovery.Endpoint) { put(function, eps) },
			PutTwice: func(function string, eps []discovery.Endpoint) { put(function, append(eps, eps[0])) },
			PutBad: func(function string, eps []discovery.Endpoint) {
				put(function, eps, record(function+".internal.", "A", "0.0.0.0", time.Minute))
			},
		}
	})
}

func TestServicesAsAProvider(t *testing.T) {
	suite(t, 500, func(s *server) providertest.Source {
		put := func(function string, eps []discovery.Endpoint, more ...string) {
			name := function + ".internal."
			records := more
			for _, ep := range eps {
				ap := netip.MustParseAddrPort(ep.Addr)
				host := target(ep.Addr, name)
				s.set(record(host, "A", ap.Addr().String(), time.Minute))
				records = append(records, record(name, "SRV", fmt.Sprintf("1 %d %d %s", ep.Weight, ap.Port(), host), time.Minute))
			}
			if len(records) == 0 {
				s.drop(name)
			} else {
				s.set(records...)
			}
		}
		return providertest.Source{
			Function: func(name string) config.Function {
				return config.Function{Name: name, Service: "dns:" + name + ".internal"}
			},
			Says: func(ep discovery.Endpoint) discovery.Endpoint {
				return discovery.Endpoint{Addr: ep.Addr, Weight: ep.Weight}
			},
			Put:      func(function string, eps []discovery.Endpoint) { put(function, eps) },
			PutTwice: func(function string, eps []discovery.Endpoint) { put(function, append(eps, eps[0])) },
			PutBad: func(function string, eps []discovery.Endpoint) {
				put(function, eps, record(function+".internal.", "SRV", "1 1 80 nowhere.internal.", time.Minute))
			},
		}
	})
}

// An audience hears what is reported of one service.
type audience struct {
	t   testing.TB
	mu  sync.Mutex
	all []string
}

func listen(t testing.TB, p *Provider, service string) *audience {
	a := &audience{t: t}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = p.Watch(ctx, &config.Function{Name: "f", Service: "dns:" + service}, func(set []discovery.Endpoint) {
			var words []string
			for _, ep := range set {
				words = append(words, fmt.Sprintf("%s*%d", ep.Addr, ep.Weight))
			}
			a.mu.Lock()
			defer a.mu.Unlock()
			a.all = append(a.all, strings.Join(words, " "))
		})
	}()
	t.Cleanup(func() { cancel(); <-done })
	return a
}

func (a *audience) told() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.all)
}

func (a *audience) until(want string) {
	a.t.Helper()
	eventually(a.t, func() (bool, string) {
		all := a.told()
		return len(all) > 0 && all[len(all)-1] == want, fmt.Sprintf("told %q, want %q at last", all, want)
	})
}

func eventually(t testing.TB, ok func() (bool, string)) {
	t.Helper()
	for late := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		good, what := ok()
		if good {
			return
		}
		if time.Now().After(late) {
			t.Fatal(what)
		}
	}
}

func refused(t testing.TB, p *Provider, want string) {
	t.Helper()
	eventually(t, func() (bool, string) {
		var got []string
		for _, r := range p.Refused() {
			got = append(got, r.What+": "+r.Reason)
		}
		all := strings.Join(got, "; ")
		return want == "" && all == "" || want != "" && strings.Contains(all, want), fmt.Sprintf("refused %q, want %q", all, want)
	})
}

var quiet = slog.New(slog.DiscardHandler)

// Both families, behind names that stand for others.
func TestAddresses(t *testing.T) {
	s := serve(t)
	s.set("api.internal. 60 IN CNAME www.internal.")
	s.set("www.internal. 60 IN A 10.0.0.2", "www.internal. 60 IN A 10.0.0.1", "www.internal. 60 IN AAAA fd00::1")
	p := New(settings(s.addr), quiet)
	a := listen(t, p, "API.internal:8080")
	a.until("10.0.0.1:8080*1 10.0.0.2:8080*1 [fd00::1]:8080*1")
	refused(t, p, "")
	s.set("www.internal. 60 IN AAAA fd00::1")
	a.until("[fd00::1]:8080*1")
}

// RFC 2782: those of the best priority get calls, by weight.
func TestPrioritiesAndWeights(t *testing.T) {
	s := serve(t)
	for i := range 5 {
		s.set(fmt.Sprintf("h%d.internal. 60 IN A 10.0.0.%d", i, i))
	}
	s.set("h1.internal. 60 IN A 10.0.0.1", "h1.internal. 60 IN AAAA fd00::1")
	for _, extra := range []bool{true, false} { // told with the answer, or asked for
		s.with(func() { s.extra = extra })
		s.set("_http._tcp.api.internal. 60 IN SRV 10 70 81 h1.internal.", "_http._tcp.api.internal. 60 IN SRV 10 30 82 H2.internal.",
			"_http._tcp.api.internal. 60 IN SRV 10 0 83 h3.internal.", "_http._tcp.api.internal. 60 IN SRV 20 5 84 h4.internal.",
			"_http._tcp.api.internal. 60 IN SRV 1 0 0 h4.internal.", "_http._tcp.api.internal. 60 IN SRV 1 0 80 .")
		p := New(settings(s.addr), quiet)
		a := listen(t, p, "_http._tcp.api.internal")
		a.until("10.0.0.1:81*70 10.0.0.2:82*30 10.0.0.3:83*0 10.0.0.4:84*0 [fd00::1]:81*70")
		refused(t, p, "h4.internal. has port 0")
		s.set("_http._tcp.api.internal. 60 IN SRV 10 0 81 h3.internal.", "_http._tcp.api.internal. 60 IN SRV 10 0 82 h2.internal.")
		a.until("10.0.0.2:82*1 10.0.0.3:81*1")
		refused(t, p, "")
	}
}

// Whatever a server says or does that is no answer, what it said before stands.
func TestFailuresTakeNobody(t *testing.T) {
	s := serve(t)
	s.set("api.internal. 60 IN A 10.0.0.1")
	for _, c := range []struct {
		what   string
		begin  func()
		reason string
	}{
		{"SERVFAIL", func() { s.fail = dns.RcodeServerFailure }, "says SERVFAIL; what was answered before stands"},
		{"REFUSED", func() { s.fail = dns.RcodeRefused }, "says REFUSED"},
		{"FORMERR", func() { s.fail = dns.RcodeFormatError }, "says FORMERR"},
		{"silence", func() { s.mute = true }, "i/o timeout"},
		{"a referral", func() { s.refers = true }, "does not know and refers to others"},
	} {
		p := New(settings(s.addr), quiet)
		a := listen(t, p, "api.internal:80")
		a.until("10.0.0.1:80*1")
		s.with(c.begin)
		refused(t, p, c.reason)
		fresh := listen(t, p, "api.internal:80") // knows what is known
		fresh.until("10.0.0.1:80*1")
		stranger := listen(t, p, "other.internal:80")
		time.Sleep(500 * time.Millisecond)
		if told := stranger.told(); len(told) > 0 {
			t.Errorf("%s: told %q of a name that nobody has answered for", c.what, told)
		}
		s.with(func() { s.fail, s.mute, s.refers = 0, false, false })
		stranger.until("")
		refused(t, p, "")
		if told := append(a.told(), fresh.told()...); !slices.Equal(told, []string{"10.0.0.1:80*1", "10.0.0.1:80*1"}) {
			t.Errorf("%s: told %q", c.what, told)
		}
	}
}

// One family fails: the other one's news is heard, and it keeps what it had.
func TestHalfAnAnswer(t *testing.T) {
	n := newName("api.internal:80", nil)
	v4, v6 := rr(t, "api.internal. 60 IN A 10.0.0.1"), rr(t, "api.internal. 60 IN AAAA fd00::1")
	fails := map[uint16]bool{}
	n.ask = func(_ context.Context, _ string, kind uint16) (answer, error) {
		if fails[kind] {
			return answer{}, fmt.Errorf("name server says SERVFAIL")
		}
		return answer{records: []dns.RR{map[uint16]dns.RR{dns.TypeA: v4, dns.TypeAAAA: v6}[kind]}, ttl: time.Minute}, nil
	}
	want := func(known bool, addrs ...string) {
		t.Helper()
		f := n.look(t.Context())
		var got []string
		for _, ep := range f.set {
			got = append(got, ep.Addr)
		}
		if f.known != known || !slices.Equal(got, addrs) || (f.failed != nil) != (len(fails) > 0) {
			t.Errorf("found %v, known %v, failed %v; want %v", got, f.known, f.failed, addrs)
		}
	}
	fails[dns.TypeA], fails[dns.TypeAAAA] = true, true
	want(false)
	delete(fails, dns.TypeAAAA)
	want(true, "[fd00::1]:80")
	delete(fails, dns.TypeA)
	want(true, "10.0.0.1:80", "[fd00::1]:80")
	fails[dns.TypeA] = true
	v6 = rr(t, "api.internal. 60 IN AAAA fd00::2")
	want(true, "10.0.0.1:80", "[fd00::2]:80")
}

// An answer holds as long as it says, within bounds.
func TestPause(t *testing.T) {
	p := New(config.DNSDiscovery{MinTTL: time.Second, MaxTTL: time.Minute}, quiet)
	for _, c := range []struct {
		ttl      time.Duration
		failures int
		want     time.Duration
	}{
		{0, 0, time.Second}, {7 * time.Second, 0, 7 * time.Second}, {time.Hour, 0, time.Minute}, {forever, 0, time.Minute},
		{time.Hour, 1, time.Second}, {0, 3, 4 * time.Second}, {0, 100, time.Minute},
	} {
		if got := p.pause(finding{ttl: c.ttl}, c.failures); got < c.want || got > c.want+c.want/10 {
			t.Errorf("an answer for %v after %d failures is asked again after %v, want %v", c.ttl, c.failures, got, c.want)
		}
	}
}

func TestTTL(t *testing.T) {
	s := serve(t)
	s.set("api.internal. 300 IN CNAME www.internal.", "api.internal. 300 IN A 10.0.0.1")
	s.set("www.internal. 30 IN A 10.0.0.1", "www.internal. 30 IN A 10.0.0.2")
	s.set("v6.internal. 40 IN AAAA fd00::1")
	s.set("zero.internal. 0 IN A 10.0.0.1")
	s.set("srv.internal. 90 IN SRV 1 1 80 www.internal.")
	s.set("alias.internal. 20 IN CNAME v6.internal.")
	a := asker{[]string{s.addr}, time.Second}
	for service, want := range map[string]time.Duration{
		"api.internal:80": 300 * time.Second, "www.internal:80": 30 * time.Second, "v6.internal:80": 40 * time.Second,
		"zero.internal:80": 0, "srv.internal": 30 * time.Second, "alias.internal:80": 20 * time.Second,
		"none.internal:80": time.Minute, // of the SOA
	} {
		if f := newName(service, a.ask).look(t.Context()); f.failed != nil || f.ttl != want {
			t.Errorf("%s holds for %v, %v; want %v", service, f.ttl, f.failed, want)
		}
	}
}

// What is too long for a packet comes by TCP, and the next server is asked when
// the first keeps silent.
func TestTruncatedAndSecondServer(t *testing.T) {
	mute, s := serve(t), serve(t)
	mute.with(func() { mute.mute = true })
	for i := range 3 {
		var records []string
		for j := range 200 {
			records = append(records, fmt.Sprintf("api.internal. 60 IN A 10.0.%d.%d", i, j+1))
		}
		s.set(records...)
	}
	a := asker{[]string{mute.addr, s.addr}, 50 * time.Millisecond}
	got, err := a.ask(t.Context(), "api.internal.", dns.TypeA)
	if err != nil || len(got.records) != 200 {
		t.Fatalf("%d records, %v", len(got.records), err)
	}
	if mute.count("udp A") != 1 || s.count("udp A") != 1 || s.count("tcp A") != 1 {
		t.Errorf("asked %v and %v", mute.asked, s.asked)
	}
}

// A name that was there and is not any more is asked for again before that is
// believed.
func TestEmptyIsAskedAgain(t *testing.T) {
	s := serve(t)
	s.set("api.internal. 60 IN A 10.0.0.1")
	quick := settings(s.addr)
	quick.MaxTTL, quick.EmptyAfter = time.Hour, 600*time.Millisecond
	s.set("api.internal. 0 IN A 10.0.0.1")
	a := listen(t, New(quick, quiet), "api.internal:80")
	a.until("10.0.0.1:80*1")
	s.drop("api.internal.")
	a.until("")
	before := s.count("udp A")
	eventually(t, func() (bool, string) {
		n := s.count("udp A") - before
		return n >= 2, fmt.Sprintf("asked %d times since, want 2", n)
	})
}
