package telemetry

import (
	"bytes"
	"encoding/json"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/weir-gateway/weir/proxy"
)

// lineOf carries a call and returns its line with the moving parts still.
func lineOf(t *testing.T, r *rig, method, path string, fields ...string) string {
	t.Helper()
	var line string
	r.peek = func(c *proxy.Call) { line = string(appendLine(nil, c, "here")) }
	r.call(method, path, fields...)
	if !json.Valid([]byte(line)) {
		t.Fatalf("not JSON: %s", line)
	}
	for _, still := range [][2]string{
		{`"time":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z"`, `"time":"T"`},
		{`"request_id":"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}"`, `"request_id":"ID"`},
		{`_ms":\d+\.\d{3}`, `_ms":0.1`},
		{`"bytes_out":\d{3}`, `"bytes_out":999`}, // of a problem: its words are not ours
	} {
		line = regexp.MustCompile(still[0]).ReplaceAllString(line, still[1])
	}
	return line
}

func TestLines(t *testing.T) {
	const trace = "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	r := setUp(t, with(t, "none"), withScaler, answer(200, "hello"))
	f := func(name, got, want string) {
		t.Helper()
		if got != want+"\n" {
			t.Errorf("%s:\n got %swant %s", name, got, want)
		}
	}
	f("warm", lineOf(t, r, "GET", "/a", "User-Agent: curl/8", trace),
		`{"time":"T","level":"info","msg":"call","request_id":"ID","trace_id":"0af7651916cd43dd8448eb211c80319c","client_ip":"192.0.2.7",`+
			`"method":"GET","host":"api.example.com","path":"/a","function":"hello","region":"us-east","upstream_addr":"127.0.0.1:9001",`+
			`"status":200,"upstream_status":200,"cause":"","protocol":"HTTP/1.1","bytes_in":0,"bytes_out":5,"duration_ms":0.1,`+
			`"upstream_ms":0.1,"attempts":1,"user_agent":"curl/8"}`)
	f("cold", lineOf(t, r, "GET", "/cold"),
		`{"time":"T","level":"info","msg":"call","request_id":"ID","client_ip":"192.0.2.7",`+
			`"method":"GET","host":"api.example.com","path":"/cold","function":"cold","region":"local","upstream_addr":"127.0.0.1:7",`+
			`"status":200,"upstream_status":200,"cause":"","protocol":"HTTP/1.1","bytes_in":0,"bytes_out":5,"duration_ms":0.1,"cold_start_ms":0.1,`+
			`"upstream_ms":0.1,"attempts":1,"user_agent":""}`)
	f("nobody", lineOf(t, r, "POST", "/gone"),
		`{"time":"T","level":"warn","msg":"call","request_id":"ID","client_ip":"192.0.2.7",`+
			`"method":"POST","host":"api.example.com","path":"/gone","function":"gone","region":"here","upstream_addr":"",`+
			`"status":503,"upstream_status":0,"cause":"NC","protocol":"HTTP/1.1","bytes_in":0,"bytes_out":999,"duration_ms":0.1,`+
			`"upstream_ms":0.1,"attempts":0,"user_agent":"","error":"the function has never had an endpoint"}`)
	if line := lineOf(t, r, "GET", "/a", "X-Tenant: a"); strings.Contains(line, "tenant") {
		t.Error("a stranger has said whose its call is:", line)
	}
	r.trusted = true
	if line := lineOf(t, r, "GET", "/a", `X-Tenant: a"b`); !strings.HasSuffix(line, `"user_agent":"","tenant":"a\"b"}`+"\n") {
		t.Error("no tenant:", line)
	}
	r.trusted = false
	if line := lineOf(t, r, "GET", "/.weir/async/0123456789abcdef"); !strings.Contains(line, `"path":"/.weir/async/*"`) {
		t.Error("the secret of a call to come back for is logged:", line)
	}
	if line := lineOf(t, r, "GET", "/a", "User-Agent: a\"b\\c\td\xff\u00e9", "traceparent: 00-nonsense"); !strings.Contains(line, `"user_agent":"a\"b\\c\td\ufffd`+"\u00e9"+`"}`) || strings.Contains(line, "trace_id") {
		t.Error(line)
	}
}

func FuzzText(f *testing.F) {
	for _, s := range []string{"", "a", "\"\\\x00\x1f\x7f", "\xff\xc3", "\u00e9\u2028\U0001f600", "\xed\xa0\x80", "01234567\"9abcdef", "0123456\\\x1f", "        !!!!!!!!", "\x7f\x7f\x7f\x7f\x7f\x7f\x7f\x7f"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		b := appendText(nil, []byte(s))
		if !utf8.Valid(b) || bytes.IndexByte(b, '\n') >= 0 {
			t.Fatalf("%q: %s", s, b)
		}
		var got string
		if err := json.Unmarshal(b, &got); err != nil {
			t.Fatalf("%q: %s: %v", s, b, err)
		}
		if want := string([]rune(s)); got != want {
			t.Fatalf("%q came back as %q", s, got)
		}
	})
}

func TestMillis(t *testing.T) {
	f := func(d time.Duration, want string) {
		t.Helper()
		if got := string(appendMillis(nil, d)); got != want {
			t.Errorf("%v: %s, want %s", d, got, want)
		}
	}
	f(0, "0.000")
	f(999, "0.000")
	f(12345*time.Microsecond, "12.345")
	f(time.Minute+7*time.Microsecond, "60000.007")
	f(-time.Second, "0.000")
}
