package shaping

import (
	"net/netip"
	"testing"

	"pgregory.net/rapid"

	"github.com/weir-gateway/weir/config"
)

func networks(texts ...string) (prefixes []netip.Prefix) {
	for _, text := range texts {
		prefixes = append(prefixes, netip.MustParsePrefix(text))
	}
	return prefixes
}

func TestAccess(t *testing.T) {
	f := func(allow, deny []netip.Prefix, in, out []string) {
		t.Helper()
		a := NewAccess(config.Access{Allow: allow, Deny: deny})
		for _, addr := range in {
			if !a.Allows(netip.MustParseAddr(addr)) {
				t.Errorf("allow %v, deny %v: %s may not come in", allow, deny, addr)
			}
		}
		for _, addr := range out {
			if a.Allows(netip.MustParseAddr(addr)) {
				t.Errorf("allow %v, deny %v: %s may come in", allow, deny, addr)
			}
		}
	}
	f(nil, nil, []string{"1.2.3.4", "::1"}, nil)
	f(nil, networks("10.0.0.0/8"), []string{"9.255.255.255", "11.0.0.0", "::1", "a00::"}, []string{"10.0.0.0", "10.255.255.255", "::ffff:10.1.2.3"})
	f(networks("10.0.0.0/8"), nil, []string{"10.0.0.0", "10.255.255.255", "::ffff:10.0.0.1"}, []string{"9.255.255.255", "11.0.0.0", "::1", "::a00:0"})
	// The most specific decides, whichever list it is in.
	f(networks("10.0.0.0/8", "10.1.2.0/24"), networks("10.1.0.0/16", "10.1.2.3/32"),
		[]string{"10.0.255.255", "10.1.2.0", "10.1.2.2", "10.1.2.4", "10.1.2.255", "10.2.0.0"},
		[]string{"10.1.0.0", "10.1.1.255", "10.1.2.3", "10.1.3.0", "10.1.255.255", "11.0.0.0"})
	f(networks("0.0.0.0/0"), networks("0.0.0.0/0"), nil, []string{"1.2.3.4", "255.255.255.255", "::1"}) // a tie
	f(networks("0.0.0.0/0"), nil, []string{"0.0.0.0", "255.255.255.255"}, []string{"::", "ffff::"})     // is not IPv6
	f(networks("::/0"), networks("fe80::/10"), []string{"::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"}, []string{"fe80::1%eth0", "1.2.3.4", "::ffff:1.2.3.4"})
	f(nil, networks("255.255.255.255/32", "0.0.0.0/32", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128", "::/128"),
		[]string{"0.0.0.1", "255.255.255.254", "::1", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe"},
		[]string{"0.0.0.0", "255.255.255.255", "::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"})
	f(networks("2001:db8::/64"), nil, []string{"2001:db8::ffff:ffff:ffff:ffff"}, []string{"2001:db8:0:1::"})
}

// Who has no address, as behind a unix socket, is in no network.
func TestAccessWithoutAddress(t *testing.T) {
	var none netip.Addr
	for _, c := range []struct {
		a    *Access
		want bool
	}{
		{nil, true},
		{NewAccess(config.Access{Deny: networks("0.0.0.0/0", "::/0")}), true},
		{NewAccess(config.Access{Allow: networks("0.0.0.0/0", "::/0")}), false},
		{Only(nil), false},
	} {
		if c.a.Allows(none) != c.want {
			t.Errorf("%+v: want %v", c.a, c.want)
		}
	}
	if Only(nil).Allows(netip.MustParseAddr("127.0.0.1")) {
		t.Error("nobody's list lets somebody in")
	}
}

// The flat table says what going through the lists says.
func TestAccessIsTheMostSpecificNetwork(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		// Few distinct bits, so that networks nest, touch and repeat.
		addr := rapid.Custom(func(t *rapid.T) netip.Addr {
			some := rapid.SampledFrom([]byte{0, 1, 0x7f, 0x80, 0xfe, 0xff})
			if rapid.Bool().Draw(t, "v4") {
				return netip.AddrFrom4([4]byte(rapid.SliceOfN(some, 4, 4).Draw(t, "bytes")))
			}
			return netip.AddrFrom16([16]byte(rapid.SliceOfN(some, 16, 16).Draw(t, "bytes"))).Unmap()
		})
		prefix := rapid.Custom(func(t *rapid.T) netip.Prefix {
			a := addr.Draw(t, "addr")
			p, _ := a.Prefix(rapid.IntRange(0, a.BitLen()).Draw(t, "bits"))
			return p
		})
		rules := config.Access{Allow: rapid.SliceOfN(prefix, 0, 8).Draw(t, "allow"), Deny: rapid.SliceOfN(prefix, 0, 8).Draw(t, "deny")}
		a := NewAccess(rules)
		probes := rapid.SliceOfN(addr, 1, 8).Draw(t, "probes")
		for _, p := range append(rules.Allow, rules.Deny...) {
			probes = append(probes, p.Addr(), p.Addr().Prev())
		}
		for _, probe := range probes {
			if !probe.IsValid() {
				continue
			}
			bits, want := -1, len(rules.Allow) == 0
			for _, p := range rules.Allow {
				if p.Contains(probe) && p.Bits() > bits {
					bits, want = p.Bits(), true
				}
			}
			for _, p := range rules.Deny {
				if p.Contains(probe) && p.Bits() >= bits {
					bits, want = p.Bits(), false
				}
			}
			if got := a.Allows(probe); got != want {
				t.Fatalf("%v may come in: %v, want %v", probe, got, want)
			}
		}
	})
}

// manyRules are a thousand networks of each family, and addresses in and
// beside them.
func manyRules() (rules config.Access, probes []netip.Addr) {
	for i := range 1000 {
		v4 := netip.AddrFrom4([4]byte{byte(i * 7), byte(i >> 2), byte(i * 13), 0})
		v6 := netip.AddrFrom16([16]byte{0x20, 0x01, byte(i * 7), byte(i >> 2), byte(i * 13), byte(i)})
		probes = append(probes, v4.Next(), v6.Next(), v4.Prev(), v6.Prev())
		rules.Allow = append(rules.Allow, netip.PrefixFrom(v4, 24), netip.PrefixFrom(v6, 56).Masked())
		if i%3 == 0 {
			rules.Deny = append(rules.Deny, netip.PrefixFrom(v4, 28), netip.PrefixFrom(v6, 64).Masked())
		}
	}
	return rules, probes
}

func TestAccessAllocs(t *testing.T) {
	rules, probes := manyRules()
	a := NewAccess(rules)
	if n := testing.AllocsPerRun(10, func() {
		for _, probe := range probes {
			a.Allows(probe)
		}
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkAccess(b *testing.B) {
	rules, probes := manyRules()
	a := NewAccess(rules)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		a.Allows(probes[i%len(probes)])
	}
}
