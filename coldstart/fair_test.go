package coldstart

import (
	"math"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// However many each of them has in line, and whoever comes and gives up meanwhile: of what
// comes free, over any stretch, none of two tenants who wait throughout gets over its share
// beside the other by more than one call of each; and where there are only two, or all
// weigh the same, none is more than one call off its share of all.
func TestShares(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := NewHold(100_000, NewPool(1_000_000), func() {})
		weights := rapid.SliceOfN(rapid.IntRange(1, 9), 2, 5).Draw(t, "weights")
		alike, sum := true, 0
		for _, w := range weights {
			alike, sum = alike && w == weights[0], sum+w
		}
		waits := make([][]*Waiter, len(weights))
		join := func(tenant int) {
			w := &Waiter{}
			if err := h.Join(w, newParker(), Claim{Tenant: Tenant(tenant), Weight: weights[tenant]}); err != nil {
				t.Fatal(err)
			}
			waits[tenant] = append(waits[tenant], w)
		}
		for tenant := range weights {
			join(tenant)
			join(tenant)
		}
		var went [][]int // how many calls of each have gone, after each
		went = append(went, make([]int, len(weights)))
		for range rapid.IntRange(10, 80).Draw(t, "calls") {
			tenant := rapid.IntRange(0, len(weights)-1).Draw(t, "tenant")
			switch all := waits[tenant]; {
			case rapid.IntRange(0, 3).Draw(t, "quits") > 0:
				join(tenant)
			case len(all) > 2:
				i := rapid.IntRange(0, len(all)-1).Draw(t, "who")
				all[i].Leave()
				waits[tenant] = append(all[:i:i], all[i+1:]...)
			}
			first := h.firstLocked()
			tenant = int(first.group.tenant)
			if waits[tenant][0] != first {
				t.Fatal("a call went before an earlier one of the same tenant")
			}
			first.Go()
			waits[tenant] = waits[tenant][1:]
			for len(waits[tenant]) < 2 {
				join(tenant)
			}
			last := append([]int{}, went[len(went)-1]...)
			last[tenant]++
			went = append(went, last)
		}
		for from := range went {
			for to := from; to < len(went); to++ {
				for a, wa := range weights {
					got := float64(went[to][a] - went[from][a])
					share := float64((to-from)*wa) / float64(sum)
					if (alike || len(weights) == 2) && math.Abs(got-share) > 1+1e-6 {
						t.Fatalf("weights %v: of %d calls tenant %d had %v, its share is %v", weights, to-from, a, got, share)
					}
					for b, wb := range weights {
						other := float64(went[to][b] - went[from][b])
						if math.Abs(got/float64(wa)-other/float64(wb)) > 1/float64(wa)+1/float64(wb)+1e-6 {
							t.Fatalf("weights %v: of %d calls tenants %d and %d had %v and %v", weights, to-from, a, b, got, other)
						}
					}
				}
			}
		}
	})
}

// Nobody who waits is forgotten, however many tenants come after him: he goes after at
// most so many calls as the weights of those who waited and came allow.
func TestNoTenantStarves(t *testing.T) {
	h := NewHold(1000, NewPool(10_000), func() {})
	patient := &Waiter{}
	if err := h.Join(patient, newParker(), Claim{Tenant: 1}); err != nil {
		t.Fatal(err)
	}
	for i := range 100 { // a new tenant each time, of the greatest weight
		if err := h.Join(&Waiter{}, newParker(), Claim{Tenant: Tenant(2 + i), Weight: 1000}); err != nil {
			t.Fatal(err)
		}
		w := h.firstLocked()
		w.Go()
		if w == patient {
			t.Fatalf("it went before %d of a weight of 1000", i)
		}
		if err := h.Join(w, newParker(), Claim{Tenant: Tenant(2 + i), Weight: 1000}); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 1000 * 101 {
		w := h.firstLocked()
		w.Go()
		if w == patient {
			t.Logf("it went after %d", i)
			return
		}
		if err := h.Join(w, newParker(), Claim{Tenant: Tenant(2 + i%100), Weight: 1000}); err != nil {
			t.Fatal(err)
		}
	}
	t.Error("one that waits is never let go")
}

// A flood cannot fill the line: it gives up places until each has its share.
func TestAFloodGivesUpPlaces(t *testing.T) {
	h := NewHold(100, NewPool(10_000), func() {})
	join := func(tenant Tenant, weight int) error {
		return h.Join(&Waiter{}, newParker(), Claim{Tenant: tenant, Weight: weight})
	}
	has := func(tenant Tenant) int {
		if g := h.bands[Normal.class()].of(tenant); g != nil {
			return g.calls
		}
		return 0
	}
	for range 100 {
		if err := join(1, 1); err != nil {
			t.Fatal(err)
		}
	}
	if err := join(1, 1); err != ErrLineFull {
		t.Errorf("the flood at its own full line: %v", err)
	}
	for range 100 {
		_ = join(2, 4)
	}
	if has(1) != 20 || has(2) != 80 {
		t.Errorf("weights 1 and 4 have %d and %d places", has(1), has(2))
	}
	for range 100 {
		_ = join(3, 1)
		_ = join(0, 1)
		_ = join(1, 1)
		_ = join(2, 4)
	}
	for tenant, want := range map[Tenant]int{0: 14, 1: 14, 2: 57, 3: 14} {
		if n := has(tenant); n < want || n > want+1 {
			t.Errorf("tenant %d has %d places, its share is %d", tenant, n, want)
		}
	}
	if h.Len() != 100 || h.pool.Held() > 400 {
		t.Errorf("%d in line", h.Len())
	}
}

// Nor can it by filling what its function may hold of the pool.
func TestAFloodGivesUpItsPartOfThePool(t *testing.T) {
	pool := NewPool(100)
	h := NewHold(1000, pool, func() {})
	join := func(tenant Tenant, bytes int) error {
		return h.Join(&Waiter{}, newParker(), Claim{Tenant: tenant, Bytes: bytes})
	}
	flood := &Waiter{}
	for range 50 {
		flood = &Waiter{}
		if err := h.Join(flood, newParker(), Claim{Tenant: 1, Bytes: 10}); err != nil {
			t.Fatal(err)
		}
	}
	if err := join(1, 10); err != ErrShare {
		t.Errorf("the flood: %v", err)
	}
	if err := join(2, 11); err != ErrShare {
		t.Errorf("one that takes more than it would get: %v", err)
	}
	if err := join(2, 10); err != nil || flood.over() != ErrBeyondShare {
		t.Errorf("one that has less than its share: %v, and the last of the flood is told %v", err, flood.over())
	}
	flood.Leave()
	if h.Len() != 50 || pool.Held() != 50 || pool.Bytes() != 500 {
		t.Errorf("%d in line, %d in the pool with %d bytes", h.Len(), pool.Held(), pool.Bytes())
	}
}

// Whoever does not wait costs nothing.
func TestTenantsWhoLeftAreForgotten(t *testing.T) {
	h := NewHold(20_000, NewPool(100_000), func() {})
	waiting := make([]Waiter, 10_000)
	for i := range waiting {
		if err := h.Join(&waiting[i], newParker(), Claim{Tenant: Tenant(i), Weight: 1 + i%7}); err != nil {
			t.Fatal(err)
		}
	}
	h.Wake(5000)
	for i := range waiting {
		if i%2 == 0 {
			waiting[i].Leave()
		}
	}
	for range 5000 {
		h.firstLocked().Go()
	}
	b := &h.bands[Normal.class()]
	if !h.Empty() || b.tenants != nil || b.orders[byDue].groups != nil || b.weights != 0 || b.nobody != (group{}) {
		t.Errorf("%d are left, %d tenants, weights %d", h.Len(), len(b.tenants), b.weights)
	}
}

// One slot, a flood of forty calls at a time, and one of another tenant that calls again
// as soon as it is answered: it has every second slot, though never two in line.
func TestAModestTenantBesideAFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := NewHold(1000, NewPool(10_000), func() {})
		var mu sync.Mutex
		free := true
		try := func() bool {
			mu.Lock()
			defer mu.Unlock()
			took := free
			free = false
			return took
		}
		var served [3]int
		var longest time.Duration // that the modest one has waited
		stop := time.Now().Add(10 * time.Second)
		var work sync.WaitGroup
		caller := func(tenant Tenant, weight int) {
			var w Waiter
			for time.Now().Before(stop) {
				began := time.Now()
				if err := h.Join(&w, newParker(), Claim{Now: began, Until: stop.Add(time.Hour), Tenant: tenant, Weight: weight}); err != nil {
					t.Error(err)
					return
				}
				for !w.Turn() || !try() {
					if err := w.Wait(stop.Add(time.Hour)); err != nil {
						t.Error(err)
						return
					}
				}
				w.Go()
				if tenant == 2 {
					longest = max(longest, time.Since(began))
				}
				time.Sleep(time.Millisecond)
				mu.Lock()
				served[tenant]++
				free = true
				mu.Unlock()
				h.Wake(1)
			}
		}
		for range 40 {
			work.Go(func() { caller(1, 1) })
		}
		work.Go(func() { caller(2, 1) })
		work.Wait()
		if served[2] < 4900 || served[1] < 4900 || longest > 3*time.Millisecond {
			t.Errorf("the flood had %d, the other one %d, and waited up to %v", served[1], served[2], longest)
		}
	})
}

// BenchmarkTenants: a place taken and given back in a line in which n tenants wait.
func BenchmarkTenants(b *testing.B) {
	for name, n := range map[string]int{"1": 1, "10000": 10_000} {
		b.Run(name, func(b *testing.B) {
			h := NewHold(100_000, NewPool(100_000), func() {})
			waiting := make([]Waiter, n)
			for i := range waiting {
				if err := h.Join(&waiting[i], newParker(), Claim{Tenant: Tenant(1 + i)}); err != nil {
					b.Fatal(err)
				}
			}
			p, now := newParker(), time.Now()
			var w Waiter
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				_ = h.Join(&w, p, Claim{Now: now, Tenant: Tenant(1 + i%(2*n))})
				h.Wake(1)
				w.Go()
			}
		})
	}
}
