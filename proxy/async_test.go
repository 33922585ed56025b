package proxy

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/weir-gateway/weir/config"
	"github.com/weir-gateway/weir/proxy/message"
)

// Whatever becomes of calls, what is counted is what is kept, within the bounds,
// and in the end nothing is.
func TestErrandsAreCounted(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limits := config.Async{MaxCalls: 4, MaxBytes: 1000, MaxResponse: 500, Keep: time.Hour}
		e := &errands{}
		var all []*errand
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			step := rapid.SampledFrom([]string{"open", "grow", "end", "drop"}).Draw(t, "step")
			if step == "open" {
				if it, err := e.open(limits, nil, rapid.IntRange(0, 400).Draw(t, "size")); err == nil {
					all = append(all, it)
				}
			} else if len(all) > 0 {
				it := rapid.SampledFrom(all).Draw(t, "which")
				switch step {
				case "grow":
					if n := rapid.IntRange(0, 400).Draw(t, "n"); it.state == pending && it.grow(n) {
						it.body = append(it.body, make([]byte, n)...)
					}
				case "end":
					it.end(done, message.Response{}, nil)
				case "drop":
					it.drop()
				}
			}
			kept, under := 0, 0
			for _, it := range e.byID {
				kept += it.kept
				if it.state == pending {
					under++
				}
			}
			if len(e.byID) > 4 || e.kept != kept || kept > 1000 || e.under != under {
				t.Fatalf("%d calls, %d under way counted as %d, %d bytes counted as %d", len(e.byID), under, e.under, kept, e.kept)
			}
		}
		for _, it := range all {
			it.end(failed, message.Response{}, nil)
			it.drop() // which time does
		}
		if len(e.byID) != 0 || e.kept != 0 || e.under != 0 {
			t.Fatalf("%d calls and %d bytes are kept for ever, %d under way", len(e.byID), e.kept, e.under)
		}
	})
}

func TestPrefersAsync(t *testing.T) {
	f := func(want bool, values ...string) {
		t.Helper()
		var fields []message.Field
		for _, v := range values {
			fields = append(fields, message.Field{Name: []byte("Prefer"), Value: []byte(v), ID: message.Prefer})
		}
		if prefersAsync(fields) != want {
			t.Errorf("%s: %v", fmt.Sprint(values), !want)
		}
	}
	f(true, "respond-async")
	f(true, "wait=5, Respond-Async")
	f(true, "return=minimal", "respond-async; x=1")
	f(false, "respond-asynchronously")
	f(false, `foo="respond-async"`)
	f(false)
}
