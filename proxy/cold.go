package proxy

import (
	"cmp"
	"errors"
	"strconv"
	"time"

	"github.com/weir-gateway/weir/coldstart"
	"github.com/weir-gateway/weir/internal/moment"
	"github.com/weir-gateway/weir/proxy/message"
	"github.com/weir-gateway/weir/shaping"
)

// What a client is told of a cold start: in fields of every answer of a
// function that can be started, and in the problem if that came to nothing.

var (
	nameServerTiming = []byte("Server-Timing")
	nameApplied      = []byte("Preference-Applied")

	coldHit     = message.Field{Name: message.Name(message.XWeirCold), Value: []byte("hit")}
	coldHeld    = message.Field{Name: message.Name(message.XWeirCold), Value: []byte("held")}
	coldSpilt   = message.Field{Name: message.Name(message.XWeirCold), Value: []byte("overflow")}
	coldDormant = message.Field{Name: message.Name(message.XWeirCold), Value: []byte("dormant")}
)

// addCold adds what the answer says about being held.
func (c *Call) addCold(added []message.Field) []message.Field {
	if c.prefers > 0 {
		start := len(c.scratch)
		c.scratch = strconv.AppendInt(append(c.scratch, "wait="...), int64(c.prefers-1), 10)
		added = append(added, message.Field{Name: nameApplied, Value: c.scratch[start:]})
	}
	if c.fn.ColdStart.ColdHeader {
		field := c.coldAs
		switch {
		case field != nil || c.fn.Start == nil || c.heldBy != nil: // whoever has it says it
		case c.held > 0:
			field = &coldHeld
		case c.relayed:
			field = &coldHit
		}
		if field != nil {
			added = append(added, *field)
		}
	}
	if c.fn.Start == nil {
		return added
	}
	if c.fn.ColdStart.ServerTiming {
		start := len(c.scratch)
		c.scratch = appendTiming(append(c.scratch, "hold;dur="...), c.held)
		if took := c.fn.Start.Status().Took; c.cold && c.tries > 0 {
			c.scratch = appendTiming(append(c.scratch, ", start;dur="...), took)
		}
		added = append(added, message.Field{Name: nameServerTiming, Value: c.scratch[start:]})
	}
	return added
}

// appendTiming writes milliseconds with a decimal, as Server-Timing has them.
func appendTiming(b []byte, d time.Duration) []byte {
	tenths := max(d.Microseconds(), 0) / 100
	b = strconv.AppendInt(b, tenths/10, 10)
	return append(b, '.', byte('0'+tenths%10))
}

// reasonOf says in one word why a cold start has come to nothing for the call.
func reasonOf(err error) string {
	switch {
	case errors.Is(err, coldstart.ErrShare):
		return "shed"
	case errors.Is(err, coldstart.ErrLineFull):
		return "queue_full"
	case errors.Is(err, coldstart.ErrStartTimeout):
		return "start_timeout"
	case errors.Is(err, coldstart.ErrNoStart):
		return "start_failed"
	case errors.Is(err, coldstart.ErrMaxWait), errors.Is(err, errDeadline):
		return "hold_deadline"
	case errors.Is(err, errExpired):
		return "deadline"
	case errors.Is(err, errDormant):
		return "dormant"
	case errors.Is(err, errWaiting):
		return "starting"
	}
	return ""
}

// TurnedAway tells why the call was not let into a line; empty if it was, or
// did not ask to be.
func (c *Call) TurnedAway() string {
	if c.dormant {
		return "dormant"
	}
	if c.err == nil || c.held > 0 || c.tries > 0 {
		return ""
	}
	for i := range turnedAway {
		if errors.Is(c.err, turnedAway[i].err) {
			return turnedAway[i].reason
		}
	}
	return ""
}

// turnedAway is looked through in this order.
var turnedAway = []struct {
	err    error
	reason string
}{
	{coldstart.ErrShare, "share"},
	{coldstart.ErrPoolFull, "pool_full"},
	{coldstart.ErrBytesFull, "bytes_full"},
	{coldstart.ErrLineFull, "line_full"},
	{shaping.ErrShed, "overloaded"},
	{errTooLate, "deadline"},
	{coldstart.ErrNoStart, "no_start"},
}

// appendReason adds to a problem why the cold start came to nothing, where it
// stands, and when the next call may expect to be served.
func (c *Call) appendReason(b []byte) []byte {
	reason := reasonOf(c.err)
	if c.fn.Start == nil || reason == "" || c.tries > 0 {
		return b
	}
	status := c.fn.Start.Status()
	b = append(b, `,"reason":"`...)
	b = append(b, reason...)
	b = append(b, `","phase":"`...)
	b = append(b, status.Phase...)
	b = append(b, '"')
	if wait, known := status.Wait(c.now().Time()); known {
		b = append(b, `,"eta_ms":`...)
		b = strconv.AppendInt(b, wait.Milliseconds(), 10)
	}
	b = append(b, `,"held":`...)
	return strconv.AppendInt(b, int64(c.fn.Hold.Len()), 10)
}

// retryAfter is how many seconds the client should wait before it asks again;
// 0 if it is told nothing about that: until the door opens, or as long as a
// start usually takes from now on.
func (c *Call) retryAfter() int {
	if f := c.fault; f != nil && !f.wait && (f.status != 504 || c.held == 0 || c.tries > 0) {
		return 0 // though a call that ran out of time in line is told
	}
	if errors.Is(c.err, shaping.ErrLimited) {
		return max(1, int((c.quotas[c.limitedBy].Next+time.Second-1)/time.Second)) // as RateLimit says it: not spread
	}
	wait, err := time.Second, cmp.Or(c.err, c.gaveUp)
	if verdict, closed := errors.AsType[*coldstart.NoStart](err); closed {
		wait = verdict.Retry
	} else if errors.Is(err, shaping.ErrOpen) {
		wait = c.fn.Breaker.Left(moment.Now())
	} else if c.fn.Start != nil {
		wait, _ = c.fn.Start.Status().Wait(c.now().Time())
	}
	return wholeSeconds(wait)
}
