package dns

import (
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// A server is a name server for the zone internal, by UDP and TCP.
type server struct {
	t    testing.TB
	addr string

	mu     sync.Mutex // guards all below
	zone   map[string][]dns.RR
	rcode  map[string]int // instead of an answer, by name
	mute   bool           // it does not answer
	fail   int            // the rcode of everything; 0: none
	refers bool           // it is not responsible for anything
	extra  bool           // addresses of targets come with SRV records
	asked  map[string]int // by network and type
}

func serve(t testing.TB) *server {
	t.Helper()
	s := &server{t: t, zone: map[string][]dns.RR{}, rcode: map[string]int{}, asked: map[string]int{}, extra: true}
	packets, listener := sockets(t)
	s.addr = packets.LocalAddr().String()
	for _, srv := range []*dns.Server{{PacketConn: packets, Handler: s}, {Listener: listener, Handler: s}} {
		up := make(chan struct{})
		srv.NotifyStartedFunc = func() { close(up) }
		done := make(chan error, 1)
		go func() { done <- srv.ActivateAndServe() }()
		<-up
		t.Cleanup(func() {
			if err := srv.Shutdown(); err != nil {
				t.Error(err)
			}
			<-done
		})
	}
	return s
}

// sockets are one of each kind, of the same port.
func sockets(t testing.TB) (net.PacketConn, net.Listener) {
	t.Helper()
	for range 20 {
		packets, err := net.ListenPacket("udp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		listener, err := net.Listen("tcp", packets.LocalAddr().String())
		if err == nil {
			return packets, listener
		}
		packets.Close()
	}
	t.Fatal("no port is free for both")
	return nil, nil
}

// ServeDNS answers as the test has it.
func (s *server) ServeDNS(w dns.ResponseWriter, question *dns.Msg) {
	s.mu.Lock()
	reply := s.reply(question, w.LocalAddr().Network())
	s.mu.Unlock()
	if reply == nil {
		return
	}
	if w.LocalAddr().Network() == "udp" {
		size := dns.MinMsgSize
		if opt := question.IsEdns0(); opt != nil {
			size = int(opt.UDPSize())
		}
		reply.Truncate(size)
	}
	reply.Compress = true
	if err := w.WriteMsg(reply); err != nil {
		s.t.Logf("cannot answer: %v", err)
	}
}

func (s *server) reply(question *dns.Msg, network string) *dns.Msg {
	q := question.Question[0]
	s.asked[network+" "+dns.TypeToString[q.Qtype]]++
	if s.mute {
		return nil
	}
	reply := new(dns.Msg).SetReply(question)
	host := dns.CanonicalName(q.Name)
	switch {
	case s.fail != 0:
		return reply.SetRcode(question, s.fail)
	case s.refers:
		reply.Ns = append(reply.Ns, rr(s.t, "internal. 60 IN NS ns.internal."))
		return reply
	}
	if rcode := s.rcode[host]; rcode != 0 {
		return reply.SetRcode(question, rcode)
	}
	reply.Authoritative = true
	records, here := s.zone[host]
	for ; here && len(records) == 1 && records[0].Header().Rrtype == dns.TypeCNAME; records, here = s.zone[host] {
		reply.Answer = append(reply.Answer, records[0])
		host = records[0].(*dns.CNAME).Target
	}
	if !here {
		reply.Rcode = dns.RcodeNameError
	}
	for _, r := range records {
		if r.Header().Rrtype == q.Qtype {
			reply.Answer = append(reply.Answer, r)
		}
	}
	if len(reply.Answer) == 0 {
		reply.Ns = append(reply.Ns, rr(s.t, "internal. 60 IN SOA ns.internal. me.internal. 1 60 60 60 60"))
	}
	if s.extra {
		for _, r := range reply.Answer {
			if srv, ok := r.(*dns.SRV); ok {
				reply.Extra = append(reply.Extra, s.zone[srv.Target]...)
			}
		}
	}
	return reply
}

func rr(t testing.TB, text string) dns.RR {
	t.Helper()
	r, err := dns.NewRR(text)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return r
}

// set makes these the records of names, of which nothing else is left.
func (s *server) set(records ...string) {
	s.t.Helper()
	zone := map[string][]dns.RR{}
	for _, text := range records {
		r := rr(s.t, text)
		zone[r.Header().Name] = append(zone[r.Header().Name], r)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for name := range zone {
		s.zone[name] = zone[name]
	}
}

func (s *server) drop(names ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	maps.DeleteFunc(s.zone, func(name string, _ []dns.RR) bool { return slices.Contains(names, name) })
}

// with changes how the server behaves.
func (s *server) with(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
}

func (s *server) count(what string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked[what]
}

// target is the name of a host that has an address.
func target(addr, zone string) string {
	ip := netip.MustParseAddrPort(addr).Addr()
	return strings.NewReplacer(".", "-", ":", "-").Replace("t-"+ip.String()) + "." + zone
}

func record(name, kind, data string, ttl time.Duration) string {
	return fmt.Sprintf("%s %d IN %s %s", name, int(ttl.Seconds()), kind, data)
}
