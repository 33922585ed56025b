package table

import (
	"testing"
	"testing/synctest"

	"github.com/weir-gateway/weir/shaping"
)

// Whoever shares limits gets its part of those that are shared, of those that come
// later too, and no function begins anew for it.
func TestShare(t *testing.T) {
	const doc = `peers: { addresses: ["10.0.0.1:80"] }
functions:
  f: { endpoints: ["127.0.0.1:2"], rate_limit: { requests: 60, shared: true } }
  whole: { endpoints: ["127.0.0.1:2"], rate_limit: { requests: 60 } }
  several: { endpoints: ["127.0.0.1:2"], rate_limit: [{ requests: 1 }, { requests: 60, shared: true, key: client }] }
  none: { endpoints: ["127.0.0.1:2"] }
`
	keep(t, doc, func(t *testing.T, k *keeping) {
		is := func(name string, perSecond float64, burst int) { // the last of its limits
			t.Helper()
			synctest.Wait()
			var p float64
			var b int
			for _, l := range k.function(name).Limiter.Limits().All() {
				p, b = l.Portion()
			}
			if p != perSecond || b != burst {
				t.Errorf("%s has %v per second, %d at once, want %v and %d", name, p, b, perSecond, burst)
			}
		}
		is("f", 60, 60)
		version := k.Table().Version
		k.Share(shaping.Part{First: 1, Own: 1, Of: 2})
		k.Share(shaping.Part{First: 1, Own: 1, Of: 3}) // the newest one counts
		is("f", 20, 20)
		is("whole", 60, 60)
		is("several", 20, 20)
		is("none", 0, 0)
		if k.Table().Version != version {
			t.Error("a table was made for it")
		}
		k.propose(t, doc+"  late: { endpoints: [\"127.0.0.1:2\"], rate_limit: { requests: 600, shared: true } }\n")
		is("f", 20, 20)
		is("late", 200, 200)
		k.Share(shaping.Part{})
		is("late", 600, 600)
	})
}
