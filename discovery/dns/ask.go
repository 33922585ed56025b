package dns

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/miekg/dns"
)

// packet is the longest answer that is taken in one packet: more gets lost in
// pieces (DNS Flag Day 2020). What is longer comes by TCP.
const packet = 1232

// absent is how long it holds that there is nothing, if the server does not say.
const absent = 5 * time.Second

// rounds is how often each server is asked before the question has failed.
const rounds = 2

// An asker asks name servers.
type asker struct {
	servers []string // host:port; none: those of /etc/resolv.conf
	timeout time.Duration
}

// An answer is what a name server knows of a name.
type answer struct {
	records []dns.RR // none: it says that there are none
	extra   []dns.RR // what it tells besides
	ttl     time.Duration
}

// ask returns the first answer that is one, or why there is none.
func (a *asker) ask(ctx context.Context, name string, kind uint16) (answer, error) {
	servers, err := a.where()
	if err != nil {
		return answer{}, err
	}
	for range rounds {
		for _, server := range servers {
			var got answer
			if got, err = a.askOne(ctx, server, name, kind); err == nil {
				return got, nil
			}
			if ctx.Err() != nil {
				return answer{}, ctx.Err()
			}
		}
	}
	return answer{}, err
}

// where are the servers. The file is read each time: DHCP changes it.
func (a *asker) where() ([]string, error) {
	if len(a.servers) > 0 {
		return a.servers, nil
	}
	const file = "/etc/resolv.conf"
	conf, err := dns.ClientConfigFromFile(file)
	if err != nil {
		return nil, fmt.Errorf("cannot read which name servers there are: %w", err)
	}
	var servers []string
	for _, host := range conf.Servers {
		servers = append(servers, net.JoinHostPort(host, conf.Port))
	}
	if len(servers) == 0 {
		return nil, errors.New("there is no name server in " + file)
	}
	return servers, nil
}

func (a *asker) askOne(ctx context.Context, server, name string, kind uint16) (answer, error) {
	question := new(dns.Msg).SetQuestion(name, kind)
	question.SetEdns0(packet, false)
	reply, err := a.exchange(ctx, "udp", server, question)
	if err == nil && reply.Truncated {
		reply, err = a.exchange(ctx, "tcp", server, question)
	}
	if err != nil {
		return answer{}, fmt.Errorf("name server %s: %w", server, err)
	}
	got, err := read(reply)
	if err != nil {
		return answer{}, fmt.Errorf("name server %s %w", server, err)
	}
	return got, nil
}

func (a *asker) exchange(ctx context.Context, network, server string, question *dns.Msg) (*dns.Msg, error) {
	client := dns.Client{Net: network, Timeout: a.timeout, UDPSize: packet}
	conn, err := client.DialContext(ctx, server)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	// The library does not notice that ctx ends.
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	reply, _, err := client.ExchangeWithConnContext(ctx, question, conn)
	switch {
	case err != nil:
		return nil, err
	case len(reply.Question) != 1 || !sameQuestion(reply.Question[0], question.Question[0]):
		return nil, errors.New("it answers another question")
	}
	return reply, nil
}

func sameQuestion(a, b dns.Question) bool {
	return a.Qtype == b.Qtype && a.Qclass == b.Qclass && dns.CanonicalName(a.Name) == dns.CanonicalName(b.Name)
}

// read tells an answer from what is none.
func read(reply *dns.Msg) (answer, error) {
	got := answer{records: reply.Answer, extra: reply.Extra}
	switch reply.Rcode {
	case dns.RcodeSuccess:
		if len(got.records) > 0 {
			got.ttl = lowest(got.records)
			return got, nil
		}
		// Nothing at all, from one that does not know: it would have us ask
		// others (RFC 2308 section 2.2).
		if soa(reply) == nil && !reply.Authoritative && refers(reply) {
			return answer{}, errors.New("does not know and refers to others")
		}
	case dns.RcodeNameError:
		got.records = nil
	default:
		return answer{}, fmt.Errorf("says %s", dns.RcodeToString[reply.Rcode])
	}
	got.ttl = absent
	if s := soa(reply); s != nil { // RFC 2308 section 5
		got.ttl = time.Duration(min(s.Hdr.Ttl, s.Minttl)) * time.Second
	}
	return got, nil
}

func lowest(records []dns.RR) time.Duration {
	ttl := records[0].Header().Ttl
	for _, r := range records {
		ttl = min(ttl, r.Header().Ttl)
	}
	return time.Duration(ttl) * time.Second
}

func soa(reply *dns.Msg) *dns.SOA {
	for _, r := range reply.Ns {
		if s, ok := r.(*dns.SOA); ok {
			return s
		}
	}
	return nil
}

func refers(reply *dns.Msg) bool {
	for _, r := range reply.Ns {
		if _, ok := r.(*dns.NS); ok {
			return true
		}
	}
	return false
}
