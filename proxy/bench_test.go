package proxy

import (
	"testing"
	"time"

	"github.com/weir-gateway/weir/coldstart"
	"github.com/weir-gateway/weir/config"
	"github.com/weir-gateway/weir/proxy/message"
	"github.com/weir-gateway/weir/proxy/table"
)

// warm is a call of a function that can be started, and is up.
func warm() *Call {
	fn := &table.Function{Function: config.Function{Name: "f"}, State: &table.State{}}
	fn.Timeouts.Request = time.Minute
	fn.Deadline.Propagate, fn.ColdStart.ColdHeader = true, true
	fn.Hold = coldstart.NewHold(10, coldstart.NewPool(10), func() {})
	fn.Start = &coldstart.Activation{}
	c := &Call{fn: fn, to: &table.Route{Function: fn}, relayed: true}
	c.Request.Path = []byte("/a/warm/call")
	c.Start(time.Now())
	c.Sent = c.began
	return c
}

// whatWarmPays is all that a warm call does for the sake of cold starts.
func (c *Call) whatWarmPays(slots interface{ Answered(time.Duration) bool }, added []message.Field) bool {
	ok := !isOwnPath(c.Request.Path) && c.to.WhileCold == nil && !c.to.RespondAsync // carry
	ok = ok && !c.timed && !c.fn.OwnDeadline && c.fn.Hold.Empty()                   // heed, take; that the call has a deadline at all is older
	if slots.Answered(time.Millisecond) {                                           // forward
		c.fn.Hold.Wake(1)
	}
	c.addCold(added)  // respond
	c.fn.Hold.Wake(1) // giveBack
	return ok
}

func TestWarmPaysAllocs(t *testing.T) {
	c, link, added := warm(), &table.Link{}, make([]message.Field, 0, 8)
	if n := testing.AllocsPerRun(1000, func() { c.whatWarmPays(&link.Slots, added) }); n > 0 {
		t.Errorf("a warm call allocates %.0f times for cold starts", n)
	}
}

// BenchmarkWarmPays: C38. The propagated deadline is beside it: it is not for
// cold starts.
func BenchmarkWarmPays(b *testing.B) {
	c, link, added := warm(), &table.Link{}, make([]message.Field, 0, 8)
	b.Run("cold-starts", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if !c.whatWarmPays(&link.Slots, added) {
				b.Fatal("not warm")
			}
		}
	})
	b.Run("deadline-told", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			c.scratch = c.scratch[:0]
			c.tellBudget()
		}
	})
}
