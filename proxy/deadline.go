package proxy

import (
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/weir-gateway/weir/coldstart"
	"github.com/weir-gateway/weir/proxy/message"
)

// What the caller says about its call: how long it waits for the answer, how
// long it would like to be held, and how urgent it is.

// errExpired: the caller's own deadline has passed when the call comes, or will
// have before an instance is there.
var (
	errExpired = errors.New("the caller's deadline cannot be met")
	errTooLate = fmt.Errorf("%w: no instance would be ready before", errExpired)
)

// heed sets the call's deadline: the function's, or the caller's if that is
// earlier. A caller can take time away from its call, never give it more.
func (c *Call) heed() error {
	c.Deadline = c.at(c.fn.Timeouts.Request)
	c.AfterBody = c.fn.Timeouts.Request
	if !c.timed && !c.fn.OwnDeadline {
		return nil
	}
	given, said := c.givenTime()
	if !said {
		return nil
	}
	if given <= 0 {
		return errExpired
	}
	if most := c.fn.Deadline.Max; most > 0 {
		given = min(given, most)
	}
	if own := c.at(given); own < c.Deadline {
		c.Deadline, c.own = own, true
		c.AfterBody = 0
	}
	return nil
}

// givenTime is the shortest time that a field of the caller's says; what cannot
// be read says nothing. If the endpoint is told what is left of it, it is not
// told what there was.
func (c *Call) givenTime() (shortest time.Duration, said bool) {
	for i := range c.Request.Fields {
		f := &c.Request.Fields[i]
		var d time.Duration
		var ok bool
		switch {
		case f.ID == message.XRequestTimeout || f.ID == message.XEnvoyUpstreamTimeout || f.ID == message.XEnvoyExpectedTimeout:
			d, ok = readMillis(f.Value)
			f.Drop = f.Drop || c.fn.Deadline.Propagate
		case f.ID == message.GrpcTimeout:
			d, ok = readGrpcTimeout(f.Value)
			c.grpc = c.grpc || ok
			f.Drop = f.Drop || ok && c.fn.Deadline.Propagate
		case f.ID == message.Other && c.fn.OwnDeadline && message.EqualNames(f.Name, []byte(c.fn.Deadline.Header)):
			d, ok = readMillis(f.Value)
		}
		if ok && (!said || d < shortest) {
			shortest, said = d, true
		}
	}
	return shortest, said
}

// mostMillis is 100 days; more would not fit everywhere, and means for ever.
const mostMillis = 100 * 24 * 3600 * 1000

func readMillis(b []byte) (time.Duration, bool) {
	n, ok := readDigits(b, 19)
	return time.Duration(min(n, mostMillis)) * time.Millisecond, ok
}

// readGrpcTimeout reads up to 8 digits and a unit ("gRPC over HTTP2", Requests).
func readGrpcTimeout(b []byte) (time.Duration, bool) {
	if len(b) < 2 {
		return 0, false
	}
	n, ok := readDigits(b[:len(b)-1], 8)
	unit := time.Duration(0)
	switch b[len(b)-1] {
	case 'H':
		unit = time.Hour
	case 'M':
		unit = time.Minute
	case 'S':
		unit = time.Second
	case 'm':
		unit = time.Millisecond
	case 'u':
		unit = time.Microsecond
	case 'n':
		unit = time.Nanosecond
	default:
		return 0, false
	}
	return min(time.Duration(n), mostMillis*time.Millisecond/unit) * unit, ok
}

func readDigits(b []byte, most int) (n int64, ok bool) {
	if len(b) == 0 || len(b) > most {
		return 0, false
	}
	for _, digit := range b {
		if digit < '0' || digit > '9' {
			return 0, false
		}
		if n < mostMillis {
			n = 10*n + int64(digit-'0')
		}
	}
	return n, true
}

// tellBudget tells the endpoint how much time is left for the answer.
func (c *Call) tellBudget() {
	left := max(c.Deadline.Sub(c.Sent), 0).Milliseconds()
	start := len(c.scratch)
	c.scratch = strconv.AppendInt(c.scratch, left, 10)
	millis := c.scratch[start:]
	if c.budget == 0 {
		c.budget = 1 + len(c.Request.Added)
		c.add(message.XRequestTimeout, nil)
		if c.grpc {
			c.add(message.GrpcTimeout, nil)
		}
	}
	c.Request.Added[c.budget-1].Value = millis
	if c.grpc {
		start = len(c.scratch)
		c.scratch = append(strconv.AppendInt(c.scratch, min(left, 99_999_999), 10), 'm')
		c.Request.Added[c.budget].Value = c.scratch[start:]
	}
}

// hopeless tells whether the caller will not wait as long as the start and the
// first answer after it usually take.
func (c *Call) hopeless(now time.Time) bool {
	if !c.own || c.fn.Start == nil {
		return false
	}
	s := c.fn.Start.Status()
	wait, known := s.Wait(now)
	return known && s.State != "warm" && s.Breaker(now) != 2 && now.Add(wait+s.Service).After(c.Deadline.Time())
}

// preferredWait reads wait=N of Prefer fields, RFC 7240 section 4.3: how many
// seconds the client prefers to wait at most.
func preferredWait(fields []message.Field) (seconds int, said bool) {
	for i := range fields {
		if fields[i].ID != message.Prefer {
			continue
		}
		message.Elements(fields[i].Value, func(e []byte) bool {
			name, value := cutElement(e)
			if n, ok := readDigits(value, 9); ok && message.IsToken(name, "wait") {
				seconds, said = int(n), true
			}
			return !said // the first one counts
		})
		if said {
			return seconds, true
		}
	}
	return 0, false
}

// priority is the call's rank in line: what a trusted client says, or else the
// route's.
func (c *Call) priority() coldstart.Priority {
	if c.Client.Trusted {
		if value := message.Get(c.Request.Fields, message.Priority); value != nil {
			if p, ok := readPriority(value); ok {
				return p
			}
		}
	}
	return c.to.Priority
}

// readPriority reads high, normal or low, or the urgency of RFC 9218 section
// 4.1: u=0 to u=7, of which 3 is usual.
func readPriority(value []byte) (p coldstart.Priority, ok bool) {
	message.Elements(value, func(e []byte) bool {
		name, value := cutElement(e)
		switch {
		case message.IsToken(name, "high"):
			p, ok = coldstart.High, true
		case message.IsToken(name, "normal"):
			p, ok = coldstart.Normal, true
		case message.IsToken(name, "low"):
			p, ok = coldstart.Low, true
		case string(name) == "u" && len(value) == 1 && '0' <= value[0] && value[0] <= '7':
			p, ok = coldstart.Normal, true
			if value[0] < '3' {
				p = coldstart.High
			} else if value[0] > '4' {
				p = coldstart.Low
			}
		}
		return !ok
	})
	return p, ok
}

// cutElement splits name=value;parameters.
func cutElement(e []byte) (name, value []byte) {
	for i, b := range e {
		if b == ';' {
			e = e[:i]
			break
		}
	}
	for i, b := range e {
		if b == '=' {
			return message.Trim(e[:i]), message.Trim(e[i+1:])
		}
	}
	return message.Trim(e), nil
}
