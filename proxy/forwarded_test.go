package proxy

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/weir-gateway/weir/proxy/message"
)

func TestIsForwarded(t *testing.T) {
	f := func(value string, want bool) {
		t.Helper()
		if isForwarded([]byte(value)) != want {
			t.Errorf("%q: want %v", value, want)
		}
	}
	// RFC 7239 sections 4 and 7.
	f(`for="_gazonk"`, true)
	f(`For="[2001:db8:cafe::17]:4711"`, true)
	f(`for=192.0.2.60;proto=http;by=203.0.113.43`, true)
	f(`for=192.0.2.43, for=198.51.100.17`, true)
	f(`for=192.0.2.43,for="[2001:db8:cafe::17]",for=unknown`, true)
	f(`for=_hidden, for=_SEVKISEK`, true)
	f(`for=a; proto=http`, true)
	f(`for=a,,for=b,`, true)
	f(`for=a;;proto=http;`, true)
	f(`for="a\"b,c"`, true)

	f(`for`, false)
	f(`for=`, false)
	f(`=a`, false)
	f(`for =a`, false)
	f(`for= a`, false)
	f(`for=a b`, false)
	f(`for=[::1]`, false)
	f(`for=1.2.3.4:80`, false)
	f(`for="a`, false)
	f(`for="a\"`, false)
	f(`for="a\`, false)
	f(`for="a"b`, false)
	f(`for="a", "`, false)
	f(`for=a"b"`, false)
}

// tell is the field that the endpoint gets.
func tell(client message.Client, authority string, said ...string) string {
	c := &Call{}
	c.Client = client
	c.Request.Authority = []byte(authority)
	for _, value := range said {
		c.Request.Fields = append(c.Request.Fields, message.Field{Value: []byte(value), ID: message.Forwarded})
	}
	c.tellForwarded()
	return string(c.Request.Added[0].Value)
}

func TestTellForwarded(t *testing.T) {
	f := func(peer, authority string, trusted bool, said []string, want string) {
		t.Helper()
		client := message.Client{Peer: []byte(peer), Scheme: []byte("http"), Trusted: trusted}
		if got := tell(client, authority, said...); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	f("192.0.2.1", "h", false, nil, `for=192.0.2.1;host=h;proto=http`)
	f("2001:db8::1", "h:8080", false, nil, `for="[2001:db8::1]";host="h:8080";proto=http`)
	f("", "", false, nil, `for=unknown;proto=http`)
	f("192.0.2.1", "h", false, []string{"for=9.9.9.9"}, `for=192.0.2.1;host=h;proto=http`)
	f("192.0.2.1", "h", true, []string{"for=9.9.9.9"}, `for=9.9.9.9, for=192.0.2.1;host=h;proto=http`)
	f("192.0.2.1", "h", true, []string{"for=9.9.9.9, for=_b", "", `for="[::1]"`}, `for=9.9.9.9, for=_b, for="[::1]", for=192.0.2.1;host=h;proto=http`)
	f("192.0.2.1", "h", true, []string{"for=9.9.9.9", `for="open`, "for=8.8.8.8"}, `for=192.0.2.1;host=h;proto=http`)
	f("192.0.2.1", `h"\;`, false, nil, `for=192.0.2.1;host="h\"\\;";proto=http`)
}

// Whatever a trusted proxy passes on of what its clients said, the field is well
// formed, and the last element is weir's.
func TestForwardedEndsWithOurs(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		said := rapid.SliceOfN(rapid.StringOfN(rapid.RuneFrom([]rune(`a=;, "\:[]`)), 0, 12, -1), 0, 3).Draw(t, "said")
		client := message.Client{Peer: []byte("192.0.2.1"), Scheme: []byte("http"), Trusted: true}
		got := tell(client, "h", said...)
		const ours = "for=192.0.2.1;host=h;proto=http"
		before, found := strings.CutSuffix(got, ours)
		if !found || !isForwarded([]byte(got)) {
			t.Fatalf("%q becomes %q", said, got)
		}
		if before != "" && (!strings.HasSuffix(before, ", ") || !isForwarded([]byte(before))) {
			t.Fatalf("%q becomes %q: ours is no element of its own", said, got)
		}
	})
}
