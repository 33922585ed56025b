package proxy

import (
	"bytes"
	"errors"
	"os"
	"strconv"
	"time"

	"github.com/weir-gateway/weir/coldstart"
	"github.com/weir-gateway/weir/proxy/message"
	"github.com/weir-gateway/weir/proxy/table"
)

// What the waiting page hears: server-sent events about a function's start.

// Paths that weir answers itself, on hosts and for functions that have asked for
// it; all others are the functions'.
const (
	ownPaths  = "/.weir/"
	watchPath = ownPaths + "wait/"
)

func isOwnPath(path []byte) bool {
	return len(path) > len(ownPaths) && string(path[:len(ownPaths)]) == ownPaths
}

// How often a stream says something although nothing has changed: every second
// that somebody has to be reminded that the function is wanted, and else so that
// nobody on the way takes it for dead.
const (
	remindEvery = time.Second
	beatEvery   = 15 * time.Second
)

// routeOwn finds what answers at a path of weir's own.
func (p *Proxy) routeOwn(c *Call) error {
	r := &c.Request
	if id, fetches := bytes.CutPrefix(r.Path, []byte(asyncPath)); fetches && (string(r.Method) == "GET" || string(r.Method) == "HEAD") {
		return p.routeErrand(c, id)
	}
	function, watches := bytes.CutPrefix(r.Path, []byte(watchPath))
	if !watches || string(r.Method) != "GET" {
		return errNoRoute
	}
	to := c.table.Page(r.Host, function, c.Client.Addr)
	if to == nil {
		return errNoRoute
	}
	if p.draining.Load() {
		return errShuttingDown
	}
	c.ours = watching{p, to.Function}
	return nil
}

// watching is a stream of events about one function, until it is up. It has two
// kinds of event: without a name, how far the start is; and ready, the last.
type watching struct {
	proxy *Proxy
	fn    *table.Function
}

var (
	kindEvents    = []byte("text/event-stream")
	nameBuffering = []byte("X-Accel-Buffering") // nginx collects answers unless it is told not to
	noBuffering   = []byte("no")
)

func (w watching) give(c *Call) error {
	start := w.fn.Start
	if err := start.Watch(c.Down); err != nil {
		return err
	}
	defer start.Unwatch(c.Down)
	c.compose(200, kindEvents)
	c.Response.Framing, c.Response.Length = message.Chunked, -1
	c.Response.Fields = append(c.Response.Fields, message.Field{Name: nameBuffering, Value: noBuffering})
	c.Response.Added = c.addedToResponse(false)
	c.answered = true
	if err := c.Down.WriteHead(&c.Response); err != nil {
		return err
	}
	err := w.tell(c)
	if err != nil {
		return err
	}
	return c.Down.Finish()
}

// tell tells what there is to tell until the function is up, has gone, or weir
// is about to.
func (w watching) tell(c *Call) error {
	var told coldstart.Status
	for first := true; ; first = false {
		status, now := w.fn.Start.Status(), time.Now() // joined the audience, then looked
		c.scratch = c.scratch[:0]                      // the head has been written
		switch {
		case status.State == "warm":
			return c.say([]byte("event: ready\ndata: {}\n\n"))
		case w.over():
			return nil
		case first || status != told:
			told = status
			c.scratch = appendStage(c.scratch, stageOf(&status, now))
		default:
			c.scratch = append(c.scratch, ":\n\n"...)
		}
		if err := c.say(c.scratch); err != nil {
			return err
		}
		wake := beatEvery
		if status.State != "starting" {
			wake = remindEvery
			if !now.Before(status.Opens) {
				w.fn.Start.Need()
			}
		}
		if err := c.Down.Wait(now.Add(wake)); err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			return err
		}
	}
}

// over tells whether there will be no more to tell.
func (w watching) over() bool {
	now := w.proxy.keeper.Table().Functions[w.fn.Name]
	return now == nil || now.State != w.fn.State || w.proxy.draining.Load()
}

// say sends an event, at once.
func (c *Call) say(event []byte) error {
	c.BytesOut += int64(len(event))
	if err := c.Down.Write(event); err != nil {
		return err
	}
	return c.Down.Flush()
}

// appendStage writes the event that says how far the start is.
func appendStage(b []byte, s stage) []byte {
	b = append(b, `data: {"phase":"`...)
	b = append(b, s.phase...)
	b = append(b, `","elapsed_ms":`...)
	b = strconv.AppendInt(b, s.elapsed.Milliseconds(), 10)
	if s.usual > 0 {
		b = append(b, `,"usual_ms":`...)
		b = strconv.AppendInt(b, s.usual.Milliseconds(), 10)
		b = append(b, `,"eta_ms":`...)
		b = strconv.AppendInt(b, max(s.usual-s.elapsed, 0).Milliseconds(), 10)
	}
	if s.retry > 0 {
		b = append(b, `,"retry_ms":`...)
		b = strconv.AppendInt(b, s.retry.Milliseconds(), 10)
	}
	return append(b, "}\n\n"...)
}

// Drain ends what may go on for as long as it likes and loses nothing by ending:
// the streams of the waiting pages, which begin anew elsewhere.
func (p *Proxy) Drain() {
	p.draining.Store(true)
	for _, fn := range p.keeper.Table().Functions {
		if fn.Start != nil {
			fn.Start.WakeAudience()
		}
	}
}
