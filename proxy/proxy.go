package proxy

import (
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/weir-gateway/weir/proxy/table"
	"github.com/weir-gateway/weir/shaping"
)

// A Recorder is told of every call once, when it is over. The call is used
// again after Record returns.
type Recorder interface{ Record(c *Call) }

// A Proxy carries calls. Its methods may be called from any goroutine, for
// different calls.
type Proxy struct {
	keeper   *table.Keeper
	recorder Recorder
	log      *slog.Logger
	sampling atomic.Pointer[sampling]                                               // nil: weir takes no part in traces
	visited  func(function string, at time.Time, gap time.Duration, trace [16]byte) // nil: nobody cares

	inFlight atomic.Int64
	errands  errands
	draining atomic.Bool
	closing  atomic.Bool
}

// New makes a Proxy that reads keeper's tables. Serve nothing before the
// keeper is ready.
func New(keeper *table.Keeper, recorder Recorder, log *slog.Logger) *Proxy {
	return &Proxy{keeper: keeper, recorder: recorder, log: log}
}

// InFlight tells how many calls are inside weir.
func (p *Proxy) InFlight() int { return int(p.inFlight.Load()) }

// ShutDown answers the calls that are held, and those that come from now on,
// with a 503: the time to finish them is over.
func (p *Proxy) ShutDown() {
	p.closing.Store(true)
	for _, fn := range p.keeper.Table().Functions {
		fn.Hold.Close(errShuttingDown)
		fn.Flights.Close()
	}
	p.errands.cancelAll()
}

// Serve carries one call from its first byte to its last. Read it downwards:
// this is the order in which things happen.
func (p *Proxy) Serve(c *Call) {
	p.inFlight.Add(1)
	defer p.end(c) // a panic in one call costs that call only
	c.err = p.carry(c)
	p.respond(c)
}

// Refuse answers a call whose head could not be made out.
func (p *Proxy) Refuse(c *Call, err error) {
	p.inFlight.Add(1)
	defer p.end(c)
	p.identify(c)
	c.table = p.keeper.Table()
	c.fn = c.table.Unrouted
	c.err = err
	p.respond(c)
}

func (p *Proxy) carry(c *Call) error {
	c.table = p.keeper.Table() // one moment for the whole call
	c.fn = c.table.Unrouted
	if err := p.accept(c); err != nil {
		return err
	}
	if isOwnPath(c.Request.Path) && c.table.OwnPaths() {
		return p.routeOwn(c)
	}
	if err := p.lead(c); err != nil || c.ours != nil { // first: every limit belongs to a function
		return err
	}
	if err := c.heed(); err != nil { // before admit: who has no time left takes no room
		return err
	}
	c.Idle = c.fn.Timeouts.StreamIdle
	if c.to.WhileCold != nil {
		if err := c.filter(); err != nil || c.ours != nil { // before admit: it is nobody's visit
			return err
		}
	}
	if c.to.RespondAsync && c.Request.Upgrade == nil && prefersAsync(c.Request.Fields) {
		return p.takeOver(c)
	}
	return p.pass(c)
}

// lead finds out where the call leads: by its route, or because another router says so.
func (p *Proxy) lead(c *Call) error {
	if c.handed != nil {
		return c.receive()
	}
	return c.route()
}

// pass carries a call of which is known where it leads.
func (p *Proxy) pass(c *Call) error {
	if err := p.admit(c); err != nil { // before take: turning a call away must cost nothing
		return err
	}
	for {
		err := p.attempt(c)
		if err == table.ErrMoved {
			if err := p.follow(c); err != nil {
				return err
			}
			continue
		}
		if c.fallsBack(err) {
			if err := p.fallBack(c); err != nil || c.ours != nil {
				return err
			}
			continue
		}
		again, end := false, c.err // what the last try came to, if there can be no other
		if err != errNoneLeft && (err != shaping.ErrOpen || c.err == nil) {
			again, end = p.again(c, err)
		}
		switch {
		case again:
		case c.to.Fallback == nil || !c.resortsTo(c.to.Fallback, end):
			return end
		default:
			if err := p.resort(c, end); err != nil || c.ours != nil {
				return err
			}
		}
	}
}

// attempt is one try at one endpoint.
func (p *Proxy) attempt(c *Call) error {
	if c.fn.Sameness != nil && c.asked == nil { // before all that costs something: who follows needs none of it
		if err := c.join(); err != nil || c.ours != nil {
			return err
		}
	}
	if err := c.enterBreaker(); err != nil { // before take: what fails anyway needs no slot
		return err
	}
	defer c.leaveBreaker()            // whatever happens: a trial without an end would keep the circuit open
	if err := p.take(c); err != nil { // an endpoint and a slot on it, in one step
		return err
	}
	if c.to.Mirror != nil && c.tries == 0 && c.before == nil {
		p.mirror(c)
	}
	if err := p.forward(c); err != nil {
		c.giveBack() // a failed try frees its slot now, a good one at the last byte
		return err
	}
	return nil
}

// end is what every call comes to: its one record, and the answer too if the
// stations broke down.
func (p *Proxy) end(c *Call) {
	if bug := recover(); bug != nil {
		p.log.Error("BUG: a call panicked", "panic", fmt.Sprint(bug), "request_id", string(c.ID()), "stack", string(debug.Stack()))
		c.err = fmt.Errorf("%w: %v", errBug, bug)
		p.rescue(c)
	}
	p.record(c)
	p.inFlight.Add(-1)
}

// rescue answers a call whose station panicked, as far as it still can be.
func (p *Proxy) rescue(c *Call) {
	defer func() {
		if bug := recover(); bug != nil {
			c.Down.Abort() // not even that
		}
	}()
	c.dropHedge()
	c.release()
	c.Request.Close = true
	p.respond(c)
}
