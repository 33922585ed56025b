package bench

import (
	"bufio"
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/valyala/fasthttp"
	"pgregory.net/rapid"
)

// read takes an answer in pieces, as it would come over a socket.
func read(a *answer, p []byte, piece func() int) (taken int, err error) {
	var held []byte
	for len(p) > 0 && a.stage != whole {
		n := min(piece(), len(p))
		held, p = append(held, p[:n]...), p[n:]
		n, err := a.feed(held, "x-region")
		if err != nil {
			return taken, err
		}
		taken, held = taken+n, held[n:]
	}
	return taken, nil
}

// What fasthttp writes, in pieces of any size, ends where fasthttp says.
func TestAnswersEndWhereTheyEnd(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var r fasthttp.Response
		r.SetStatusCode(rapid.SampledFrom([]int{200, 201, 204, 304, 404, 500, 503}).Draw(t, "status"))
		r.Header.Set("X-Region", "eu")
		body := rapid.SliceOfN(rapid.Byte(), 0, 5000).Draw(t, "body")
		if rapid.Bool().Draw(t, "chunked") {
			r.SetBodyStream(bytes.NewReader(body), -1)
		} else {
			r.SetBody(body)
		}
		var wire bytes.Buffer
		w := bufio.NewWriter(&wire)
		if err := r.Write(w); err != nil {
			t.Fatal(err)
		}
		w.Flush()
		more := rapid.SliceOfN(rapid.Byte(), 0, 20).Draw(t, "more")
		interim := rapid.SampledFrom([]string{"", "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"}).Draw(t, "interim")
		all := append(append([]byte(interim), wire.Bytes()...), more...)
		var a answer
		n, err := read(&a, all, func() int { return rapid.IntRange(1, 3000).Draw(t, "piece") })
		if err != nil || a.stage != whole || n != len(interim)+wire.Len() || a.status != r.StatusCode() {
			t.Fatalf("status %d, %d of %d bytes, stage %d, %v, of\n%q", a.status, n, len(interim)+wire.Len(), a.stage, err, all)
		}
	})
}

func TestGarbageIsSeen(t *testing.T) {
	for _, text := range []string{
		"SSH-2.0-OpenSSH_9.2\r\n\r\n",
		"HTTP/2 200\r\n\r\n",
		"HTTP/1.1 999 No\r\n\r\n",
		"HTTP/1.1 2x0 No\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n",
		strings.Repeat("a", maxHead+1),
	} {
		var a answer
		if _, err := a.feed([]byte(text), ""); err == nil {
			t.Errorf("%.60q is taken for an answer", text)
		}
	}
}

func TestAnswersWithoutALengthEndWithTheConnection(t *testing.T) {
	for _, c := range []struct {
		head  string
		close bool
		want  stage
	}{
		{"HTTP/1.1 200 OK\r\n\r\n", true, untilClose},
		{"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", true, whole},
		{"HTTP/1.0 200 OK\r\nContent-Length: 0\r\nConnection: Keep-Alive\r\n\r\n", false, whole},
		{"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: CLOSE\r\n\r\n", true, whole},
	} {
		var a answer
		if _, err := a.feed([]byte(c.head), ""); err != nil || a.stage != c.want || a.close != c.close {
			t.Errorf("%q: stage %d, closes %v, %v", c.head, a.stage, a.close, err)
		}
	}
}

func FuzzAnswer(f *testing.F) {
	f.Add([]byte("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n"))
	f.Fuzz(func(t *testing.T, p []byte) {
		var a, b answer
		n, err := a.feed(p, "x-region")
		m, slow := read(&b, p, func() int { return 1 })
		if n > len(p) || (err == nil) != (slow == nil) || err == nil && (n != m || a.stage != b.stage || a.status != b.status) {
			t.Fatal(fmt.Sprint(n, err, m, slow, a, b))
		}
	})
}
