package main

import (
	"errors"
	"strings"
	"testing"
)

func TestSum(t *testing.T) {
	for _, c := range []struct {
		name   string
		events string
		err    error
		want   string
		ok     bool
		says   string
	}{
		{name: "all good", want: "2 passed, 0 failed, 1 skipped\n", ok: true,
			says: "SKIP  a T3: x_test.go:1: SKIPPED: no promtool",
			events: `{"Action":"pass","Package":"m/a","Test":"T1"}
{"Action":"pass","Package":"m/a","Test":"T2"}
{"Action":"output","Package":"m/a","Test":"T3","Output":"=== RUN T3\n"}
{"Action":"output","Package":"m/a","Test":"T3","Output":"    x_test.go:1: SKIPPED: no promtool\n"}
{"Action":"skip","Package":"m/a","Test":"T3"}
{"Action":"pass","Package":"m/a","Elapsed":0.1}
`},
		{name: "a test failed", want: "0 passed, 1 failed, 0 skipped\n", err: errors.New("exit status 1"),
			says: "want 2",
			events: `{"Action":"output","Package":"m/a","Test":"T1","Output":"want 2\n"}
{"Action":"fail","Package":"m/a","Test":"T1"}
{"Action":"fail","Package":"m/a"}
`},
		{name: "a package does not build", want: "0 passed, 1 failed, 0 skipped\n", err: errors.New("exit status 1"),
			says: "undefined: x",
			events: `{"Action":"build-output","ImportPath":"m/a","Output":"undefined: x\n"}
{"Action":"build-fail","ImportPath":"m/a"}
{"Action":"fail","Package":"m/a"}
`},
		{name: "a panic cuts a test off", want: "0 passed, 1 failed, 0 skipped\n", err: errors.New("exit status 1"),
			says: "panic: no",
			events: `{"Action":"output","Package":"m/a","Test":"T1","Output":"panic: no\n"}
{"Action":"fail","Package":"m/a"}
`},
		{name: "nothing ran", want: "0 passed, 0 failed, 0 skipped\n", says: "at least 1",
			events: `{"Action":"skip","Package":"m/a"}
`},
		{name: "go test itself failed", want: "0 passed, 1 failed, 0 skipped\n", err: errors.New("exit status 2"),
			says: "no such flag", events: "no such flag\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var out strings.Builder
			s := newSum(&out)
			s.read(strings.NewReader(c.events))
			if ok := s.finish(c.err, 1); ok != c.ok {
				t.Errorf("ok is %v, want %v", ok, c.ok)
			}
			if !strings.HasSuffix(out.String(), c.want) {
				t.Errorf("got\n%s\nwant at its end %q", out.String(), c.want)
			}
			if !strings.Contains(out.String(), c.says) {
				t.Errorf("got\n%s\nwant %q in it", out.String(), c.says)
			}
		})
	}
}
