package proxy

import (
	"errors"

	"github.com/weir-gateway/weir/coldstart"
	"github.com/weir-gateway/weir/internal/moment"
	"github.com/weir-gateway/weir/proxy/message"
	"github.com/weir-gateway/weir/proxy/table"
)

// Calls of a function that another router holds (table/holder.go) go there while no
// instance is up here. The other one is an endpoint like any: a try at it has the
// call's deadline, streams its bodies, and is cancelled with it. What the route says was
// done here; the holder takes the call for the function that X-Weir-Handed names, past
// its own routes and rate limits, and holds it as its own. It hands none on.
//
// The answer says in the same field whether the call was taken or refused, at the door
// and without a byte of its body. Then the next router is asked, and in the end the call
// waits here.

// errNotTaken: the router that the call was handed to does not take it.
var errNotTaken = errors.New("another router did not take the call")

// errMisdirected: whoever hands the call over is not believed, or means a function that
// is not handed over here.
var errMisdirected = errors.New("the call was handed over by somebody who may not, or for a function that is not handed over here")

var (
	taken   = message.Field{Name: message.Name(message.XWeirHanded), Value: []byte("taken"), ID: message.XWeirHanded}
	refused = message.Field{Name: message.Name(message.XWeirHanded), Value: []byte("refused"), ID: message.XWeirHanded}
)

// receive takes a call that another router hands over. Only trusted proxies may: they
// say which function it is for, past every rule for clients.
func (c *Call) receive() error {
	fn := c.table.Functions[string(c.handed)]
	if !c.Client.Trusted || fn == nil || fn.Direct == nil {
		return errMisdirected
	}
	c.fn, c.to = fn, fn.Direct
	if len(fn.Trailers) > 0 {
		c.allowTrailers()
	}
	return nil
}

// handOver takes a place with the next of the function's holders, as if it were a slot
// here. Each is asked once: a call that is held here, because none of them took it, does
// not ask anew whenever it looks for a slot.
func (c *Call) handOver(now moment.Moment) bool {
	holders := c.fn.Holders()
	if c.askedHolders >= len(holders) || c.handed != nil || c.hopped || c.isCopy() || !c.fn.HandOver() {
		return false
	}
	for c.askedHolders < len(holders) {
		router := holders[c.askedHolders]
		c.askedHolders++
		if c.takeSlot(router, now, desperate) {
			c.away, c.heldBy = true, router
			c.tellHolder(c.fn.Name)
			return true
		}
	}
	c.fn.HandedBack()
	return false
}

// tellHolder tells the endpoint, which is another router, which function the call is
// for. Empty: it is no router.
func (c *Call) tellHolder(function string) {
	if function == "" {
		c.heldBy = nil
	}
	c.tell(&c.toldHolder, message.XWeirHanded, function)
}

// handedTo notes what another router made of the call, and tells whether that was a
// router at all.
func (c *Call) handedTo() bool {
	said := string(message.Get(c.Response.Fields, message.XWeirHanded))
	c.returnable = said == string(refused.Value)
	if c.returnable {
		c.notTaken++
	}
	return said != ""
}

// comeBack gives the answer up of a router that did not take the call, if the call can
// go somewhere else with all of its body.
func (c *Call) comeBack() (again bool, end error) {
	c.returnable = false
	if !c.keepsBody() {
		return false, nil // the answer is as good as another
	}
	c.release()
	c.answer = 0
	c.err = errNotTaken
	if !c.bodyAgain() {
		return false, errBodyGone
	}
	return true, nil
}

// addHanded tells the router that handed the call over whether it was taken: not if
// it was turned away at the door.
func (c *Call) addHanded(added []message.Field) []message.Field {
	if f := c.fault; f != nil && c.tries == 0 && c.held == 0 && (f.status == 503 || f.status == 421 || f.err == coldstart.ErrShare) {
		return append(added, refused)
	}
	return append(added, taken)
}

// HandedTo is the router that had the call; nil if it stayed here.
func (c *Call) HandedTo() *table.Endpoint { return c.heldBy }

// Handed tells whether another router handed the call over.
func (c *Call) Handed() bool { return c.handed != nil }
