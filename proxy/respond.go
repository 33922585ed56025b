package proxy

import (
	"fmt"
	"io"

	"github.com/weir-gateway/weir/proxy/message"
	"github.com/weir-gateway/weir/proxy/table"
)

// respond gives the client its one answer: the endpoint's, weir's own, or the
// fault's.
func (p *Proxy) respond(c *Call) {
	if c.lead.Leads() && (c.err != nil || c.ours != nil) {
		c.ground()
	}
	switch {
	case c.err != nil:
	case c.ours != nil:
		c.err = c.ours.give(c)
	default:
		c.err = p.relay(c)
	}
	if c.err == nil {
		return
	}
	c.fault = faultOf(c.err)
	c.failed = c.since()
	if c.fault.status == 499 || c.answered && !c.retract() {
		c.Down.Abort()
		return
	}
	c.answerFault()
}

// retract takes back the endpoint's answer, if the fault has one of its own and
// no byte has gone out: what came with the head was malformed already.
func (c *Call) retract() bool {
	if c.fault.status == 0 || !c.Down.Retract() {
		return false
	}
	c.relayed = false
	return true
}

// relay passes the endpoint's response on, and flushes whenever the endpoint
// pauses.
func (p *Proxy) relay(c *Call) error {
	c.answered, c.relayed = true, true
	c.dressResponse()
	var toShare *table.Answer
	if c.lead.Leads() {
		toShare = c.depart()
	}
	if err := c.Down.WriteHead(&c.Response); err != nil {
		return err
	}
	if toShare != nil {
		if err := c.capture(toShare); err != nil {
			return err
		}
	}
	if err := c.passBody(); err != nil {
		return err
	}
	if c.switched() {
		return c.endTunnel()
	}
	if trailers := c.Up.Trailers(); len(trailers) > 0 {
		c.Down.WriteTrailers(trailers)
	}
	c.release() // before the client has its last byte: the slot is free
	return c.Down.Finish()
}

// passBody passes on what comes from the endpoint until its end.
func (c *Call) passBody() error {
	for {
		if !c.Up.Ready() {
			if err := c.Down.Flush(); err != nil {
				return err
			}
			n, err := c.Down.Take(c.Up)
			c.BytesOut += n
			if err != nil {
				return err
			}
		}
		b, err := c.Up.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return upstreamBroke(err)
		}
		c.BytesOut += int64(len(b))
		if err := c.Down.Write(b); err != nil {
			return err
		}
	}
}

// switched tells whether the call has become a tunnel, RFC 9110 section 15.2.2.
func (c *Call) switched() bool { return c.relayed && c.Response.Status == 101 }

// endTunnel passes the endpoint's half-close on, and waits for the client's.
// The slot is taken until both have come.
func (c *Call) endTunnel() error {
	if err := c.Down.Finish(); err != nil {
		return err
	}
	if err := c.Up.AwaitSent(); err != nil {
		return upstreamBroke(err)
	}
	c.release()
	return nil
}

// upstreamBroke is what a body's end means that is not its end.
func upstreamBroke(err error) error {
	if err == message.ErrClientGone {
		return err
	}
	return fmt.Errorf("%w: %w", errBroken, err)
}

// release ends the call's try: the connection first, so that the next call
// finds it.
func (c *Call) release() {
	if up := c.Up; up != nil {
		c.Up = nil // first: a panic in Release must not come again
		up.Release()
	}
	c.giveBack()
}

// dressResponse marks what does not pass to the client and adds weir's own.
func (c *Call) dressResponse() {
	r := &c.Response
	dated := false
	for i := range r.Fields {
		f := &r.Fields[i]
		switch f.ID {
		case message.Other:
		case message.Connection:
			f.Drop = true
			message.DropNamed(r.Fields, f.Value)
		case message.KeepAlive, message.ProxyConnection, message.ProxyAuthenticate, message.TE, message.XWeirHanded,
			message.TransferEncoding, message.ContentLength, message.XRequestID:
			f.Drop = true
		case message.Trailer:
			f.Drop = !c.Request.TakesTrailers || !message.Announces(f.Value, c.Trailers)
		case message.Upgrade: // RFC 9110 section 15.5.22: a 426 says what else to speak
			f.Drop = r.Status != 101 && r.Status != 426
		case message.XWeirCold: // of another weir: where the call was cold for its client, this one says
			f.Drop = c.heldBy == nil && c.fn.ColdStart.ColdHeader && (c.coldAs != nil || c.fn.Start != nil)
		case message.Date:
			dated = true
		}
	}
	if c.to != nil {
		r.Fields = c.to.Action.Response.Apply(r.Fields)
	}
	r.Added = append(c.addedToResponse(dated), message.Field{Name: message.Name(message.Via), Value: via})
}

// addedToResponse reuses the room of the fields added to the request, which has
// been sent.
func (c *Call) addedToResponse(dated bool) []message.Field {
	id := c.ID()
	added := append(c.added[:0], message.Field{Name: message.Name(message.XRequestID), Value: id, ID: message.XRequestID})
	c.Request.Added = added[:1] // where ID finds it
	if !dated {                 // RFC 9110 section 6.6.1
		added = append(added, message.Field{Name: message.Name(message.Date), Value: c.date()})
	}
	if c.prefers > 0 || c.fn.Start != nil || c.coldAs != nil {
		added = c.addCold(added)
	}
	if c.resorted != "" {
		added = c.addResort(added)
	}
	if c.handed != nil {
		added = c.addHanded(added)
	}
	return c.addCookie(c.addQuota(added))
}
