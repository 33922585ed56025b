package webhook

import (
	"context"
	"crypto/hmac"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"slices"
	"time"

	"github.com/weir-gateway/weir/coldstart"
)

// A Refusal is why an announcement is not taken.
type Refusal struct {
	Status int    // of HTTP
	Slug   string // a word for machines
	Detail string // a sentence
}

func (r *Refusal) Error() string { return r.Detail }

// Refusal is the status and the word of the answer.
func (r *Refusal) Refusal() (status int, problem string) { return r.Status, r.Slug }

// knockPatience is how long an instance that says it is ready may take to
// accept a connection.
const knockPatience = time.Second

// Announce takes what an instance ("ready"), or the platform ("gone"), posts
// about a function, with the token it was given. A ready instance is known at
// once, unproven, so that whoever keeps the table connects to it for the first
// call while it is connected to here for the answer: one after the other cost a
// held call 0.6 of 2 ms (C14, 2026-11-25). What says so and is not leaves again,
// and costs no call anything. It returns when the news is out. The error is a
// *Refusal.
func (p *Platform) Announce(ctx context.Context, function, kind, token string, body []byte) error {
	secret, err := p.secret()
	if err != nil || secret == nil || !hmac.Equal([]byte(token), []byte(tokenOf(secret, function))) {
		return &Refusal{http.StatusUnauthorized, "unauthorized", "The token is not the one that was given for this function."}
	}
	var t told
	if err := json.Unmarshal(body, &t); err != nil {
		return &Refusal{http.StatusBadRequest, "bad_request", "The body is not the JSON that docs/webhook.md describes: " + printable(err.Error())}
	}
	t.ID, t.Failed = printable(t.ID), printable(t.Failed)
	if kind == "gone" {
		p.gone(function, t)
		return nil
	}
	addr, err := address(t.Address)
	if err != nil {
		return &Refusal{http.StatusBadRequest, "bad_request", "The address makes no sense: " + err.Error() + "."}
	}
	if t.ID == "" {
		t.ID = addr
	}
	in := instance{id: t.ID, addr: addr, place: t.place()}
	again, err := p.ready(function, in)
	if err != nil {
		return err
	}
	conn, err := (&net.Dialer{Timeout: knockPatience}).DialContext(ctx, "tcp", addr)
	if err != nil {
		if !again {
			p.update(function, in, func(known []instance, i int) []instance { return slices.Delete(known, i, i+1) })
		}
		p.log.Warn("an instance says it is ready and is not", "function", function, "instance", t.ID, "error", err.Error())
		return &Refusal{http.StatusConflict, "not_ready", "Nobody listens there: " + err.Error() + "."}
	}
	_ = conn.Close()
	p.update(function, in, func(known []instance, i int) []instance { known[i].proven = true; return known })
	p.log.Info("instance ready", "function", function, "instance", in.id, "address", in.addr)
	return nil
}

// ready notes an instance that says it listens, and tells whether it was known.
// One that has moved replaces itself; an address that is another's stays that
// one's.
func (p *Platform) ready(function string, in instance) (known bool, err error) {
	f := p.function(function)
	now := time.Now()
	p.mu.Lock()
	if i := slices.IndexFunc(f.known, func(o instance) bool { return o.addr == in.addr && o.id != in.id }); i >= 0 {
		other := f.known[i].id
		p.mu.Unlock()
		return true, &Refusal{http.StatusConflict, "taken", fmt.Sprintf("The address is the one of instance %s.", other)}
	}
	in.since, in.here = f.wanted, now
	if in.since.IsZero() {
		in.since = now
	}
	f.known = slices.Clone(f.known)
	if i := slices.IndexFunc(f.known, func(o instance) bool { return o.id == in.id }); i >= 0 {
		known = f.known[i].addr == in.addr
		in.listed, in.proven = f.known[i].listed, known && f.known[i].proven
		f.known[i] = in
	} else {
		f.known = append(f.known, in)
	}
	p.mu.Unlock()
	p.show(f)
	return known, nil
}

// update has change at an instance that is still known, in a copy of all, and
// shows what it returns.
func (p *Platform) update(function string, in instance, change func(known []instance, i int) []instance) {
	f := p.function(function)
	p.mu.Lock()
	i := slices.IndexFunc(f.known, func(o instance) bool { return o.id == in.id && o.addr == in.addr })
	if i >= 0 {
		f.known = change(slices.Clone(f.known), i)
	}
	p.mu.Unlock()
	if i >= 0 {
		p.show(f)
	}
}

// gone notes that an instance has ended, or that the start of one has failed.
func (p *Platform) gone(function string, t told) {
	f := p.function(function)
	p.mu.Lock()
	since, asked := f.wanted, f.lowering
	if i := slices.IndexFunc(f.known, func(in instance) bool { return in.id == t.ID }); i >= 0 {
		since = f.known[i].since
		f.known = slices.Delete(slices.Clone(f.known), i, i+1)
	} else if t.Failed == "" || slices.Contains(f.buried, t.ID) || f.wasMissed(t.ID) {
		asked = true // nobody knew it: no news
	}
	f.bury(t.ID)
	p.mu.Unlock()
	p.show(f)
	if asked {
		return
	}
	if t.Failed == "" {
		t.Failed = "has ended"
	}
	err := t.err(function)
	if t.ID == "" {
		err = fmt.Errorf("no instance of %q could be started: %s", function, t.Failed)
		if t.Terminal {
			err = coldstart.Terminal(err)
		}
	}
	p.tell(function, since, err)
}
