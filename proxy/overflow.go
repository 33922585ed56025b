package proxy

import (
	"math/rand/v2"
	"time"

	"github.com/weir-gateway/weir/internal/moment"
	"github.com/weir-gateway/weir/proxy/message"
	"github.com/weir-gateway/weir/proxy/table"
)

// Calls of a region that is cold go to a warm one while an instance is started here
// (table/warm.go says which calls those are, and how many at once).

// overflowMargin is how much sooner than here the answer has to come from elsewhere,
// the way there aside.
const overflowMargin = 50 * time.Millisecond

// fate is the random number that decides for the call, once and for all, as long as
// its region is cold: one that is held does not try its luck each time it looks.
func (c *Call) fate() uint64 {
	if c.luck == 0 {
		c.luck = rand.Uint64() | 1
	}
	return c.luck
}

// spills tells whether a call that was drawn for a region by r is the cold region's
// own, and so goes elsewhere only if that is sooner and not too much.
func (c *Call) spills(split *table.Split, drawn *table.Region, r uint64) bool {
	home := split.Home
	switch {
	case home == nil:
		return false
	case drawn == home: // its instances are being put back: no call gets in
		return !split.Spilling && c.fn.Start.Status().State == "draining"
	case !split.Spilling:
		return false
	}
	if split.Nearest {
		if at, near := c.place(); near {
			return home.Before(drawn, at)
		}
	}
	return drawn.IsExtra(^r)
}

// isElsewhere tells whether the call is for a region that is warm by rights: the line
// is that of the region that is not.
func (c *Call) isElsewhere() bool {
	split := c.fn.Set().Split
	if split == nil || !split.Spilling || len(split.Best) == 0 {
		return false
	}
	var room [8]*table.Region
	r := c.fate()
	drawn, _, _ := c.regions(split, r, room[:0])
	return drawn != split.Home && !c.spills(split, drawn, r)
}

// mayGo tells whether the call, which is held, is the next to go elsewhere should the
// start take longer than usual. Nobody would wake it.
func (c *Call) mayGo() bool {
	split := c.fn.Set().Split
	return split != nil && split.Spilling && c.waiter.First()
}

// overflow takes a slot for a call of the cold region: in a warm one if its answer
// is there sooner so, else here, where there may be none yet.
func (c *Call) overflow(split *table.Split, drawn *table.Region, r uint64, now moment.Moment) error {
	home := split.Home
	if c.coldAs == &coldSpilt { // in an earlier try
		c.coldAs = nil
	}
	down := drawn == home || len(home.Set.Endpoints) == 0
	if down {
		c.fn.Spilled(time.Now())
	}
	if !c.hopped {
		if c.takeElsewhere(drawn, r, now) {
			return nil
		}
		for _, other := range split.Best {
			if other != drawn && c.takeElsewhere(other, r, now) {
				return nil
			}
		}
	}
	c.tellHop("")
	if down {
		return errNoRoom
	}
	if c.takeSlot(c.choose(home.Set, r, now), now, choosy) {
		return nil
	}
	for need := choosy; need <= desperate; need++ {
		if c.takeAny(home.Set, r, now, need) {
			return nil
		}
	}
	return errNoRoom
}

// takeElsewhere takes a place and a slot in a region that is not the call's own.
func (c *Call) takeElsewhere(region *table.Region, r uint64, now moment.Moment) bool {
	if region.Spill == nil || !c.isSooner(region) || !region.Take() {
		return false
	}
	if !c.takeSlot(c.choose(region.Set, r, now), now, choosy) && !c.takeAny(region.Set, r, now, choosy) {
		region.Spill.GiveBack()
		return false
	}
	c.spill, c.spiltTo, c.coldAs = region.Spill, region.Name, &coldSpilt
	c.tellHop(c.table.Config.Region)
	return true
}

// tellHop tells the endpoint, which may be another weir, that the call was sent there
// because a region was cold: one hop is enough. Empty: it was not.
func (c *Call) tellHop(from string) { c.tell(&c.overflew, message.XWeirOverflow, from) }

// tell adds a field to what goes to the endpoint of the next try, or has it say
// otherwise; at is where that is kept. Empty: there is none.
func (c *Call) tell(at *int, id message.ID, value string) {
	if *at == 0 {
		if value == "" {
			return
		}
		*at = 1 + len(c.Request.Added)
		c.add(id, nil)
	}
	f := &c.Request.Added[*at-1]
	f.Value, f.Drop = c.write(func(b []byte) []byte { return append(b, value...) }), value == ""
}

// isSooner tells whether the way to a region is shorter than the wait here. While a
// region has its share by and by there is no wait, but its instances are to get warm.
// A start that takes longer than usual may take for ever.
func (c *Call) isSooner(region *table.Region) bool {
	s := c.fn.Start.Status()
	now := time.Now()
	wait, known := s.Wait(now)
	if s.State == "warm" || !known || s.State == "starting" && wait == 0 {
		return true
	}
	return region.Spill.RoundTrip()+overflowMargin < wait
}

// Overflow tells to which region the call went because its own was cold; empty if it
// did not.
func (c *Call) Overflow() string {
	if c.coldAs != &coldSpilt {
		return ""
	}
	return c.spiltTo
}
