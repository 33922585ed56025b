package proxy

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"errors"
	"fmt"
	"html"
	"strconv"
	"strings"
	"time"

	"github.com/weir-gateway/weir/coldstart"
	"github.com/weir-gateway/weir/proxy/message"
)

// The waiting page: what a browser shows that has gone to a page of a function
// which is starting. It is one document, without anything to fetch.

// errWaiting: the page takes the place of the call, which comes again.
var errWaiting = errors.New("the waiting page was shown")

// waitingPage has names in double braces where texts go.
//
//go:embed waiting.html
var waitingPage string

// pagePolicy lets the page do what it does and nothing else: its one style and
// its one script, by their hashes, a connection to where it came from, and an
// icon that is in it.
var pagePolicy = []byte("default-src 'none'; style-src " + hashOf("style") + "; script-src " + hashOf("script") +
	"; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'self'")

// hashOf is that of the page's one element of a kind, as CSP level 3 section
// 2.3.1 writes it.
func hashOf(element string) string {
	_, text, _ := strings.Cut(waitingPage, "<"+element+">")
	text, _, _ = strings.Cut(text, "</"+element+">")
	sum := sha256.Sum256([]byte(text))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

var (
	namePolicy = []byte("Content-Security-Policy")
	nameSniff  = []byte("X-Content-Type-Options")

	kindHTML = []byte("text/html; charset=utf-8")
	noSniff  = []byte("nosniff")
)

// takesPage tells whether the call may be answered with the waiting page: its
// route has one, and a browser goes somewhere by it.
func (c *Call) takesPage() bool {
	return c.to != nil && c.to.WhileCold != nil && c.to.WhileCold.WaitingPage != nil && c.fn.Start != nil &&
		c.tries == c.notTaken && !c.detached && c.from == nil && isNavigation(&c.Request)
}

// showsPage tells whether the fault is shown as the waiting page: one of the
// function's start, which the page waits for.
func (c *Call) showsPage() bool {
	if !c.takesPage() {
		return false
	}
	switch reasonOf(c.err) {
	case "", "dormant", "deadline":
		return false
	}
	return true
}

// isNavigation tells whether a person's browser goes to a page by the request
// ("Fetch Metadata Request Headers", section 2.2). Browsers that do not say so,
// over plain HTTP for one, are known by what they accept.
func isNavigation(r *message.Request) bool {
	if string(r.Method) != "GET" || r.Upgrade != nil || isRobot(message.Get(r.Fields, message.UserAgent)) {
		return false
	}
	said, navigates, script := false, false, false
	for i := range r.Fields {
		switch f := &r.Fields[i]; {
		case f.ID != message.Other:
		case message.IsToken(f.Name, "sec-fetch-mode"):
			said, navigates = true, message.IsToken(f.Value, "navigate")
		case message.IsToken(f.Name, "sec-purpose"), message.IsToken(f.Name, "x-requested-with"): // ahead of a person, or by a script
			script = true
		}
	}
	if said || script {
		return navigates && !script
	}
	return bytes.Contains(message.Get(r.Fields, message.Accept), []byte("text/html"))
}

// robots are what the programs call themselves that look at pages for nobody who
// waits.
var robots = []string{"*bot*", "*crawl*", "*spider*", "*slurp*", "*facebookexternalhit*", "*preview*", "*monitor*", "*pingdom*", "curl/*", "wget/*"}

func isRobot(userAgent []byte) bool { return meetsOneOf(userAgent, robots) }

// A page that is not told of the start, having no scripts or no stream, comes
// again no sooner and no later than this, in seconds. One that knows nothing of
// the start comes again after 5.
//
// Decision, 2026-11-26: that is an element which only browsers without scripts
// heed, not the field Refresh, which would also reload a page that is told.
const (
	soonest    = 2
	unknownETA = 5
	latest     = 30
)

// page adds to the answer what belongs to the page, and returns it; retry is what
// the answer says in Retry-After.
func (c *Call) page(retry int) []byte {
	now := c.Started.Add(c.since())
	status := c.fn.Start.Status()
	s := stageOf(&status, now)
	if verdict, closed := errors.AsType[*coldstart.NoStart](c.err); closed {
		s.phase, s.retry = "failed", verdict.Retry
	}
	refresh := max(retry+1, soonest)
	if s.usual == 0 && s.phase != "failed" {
		refresh = max(unknownETA, retry)
	}
	c.Response.Fields = append(c.Response.Fields,
		message.Field{Name: namePolicy, Value: pagePolicy},
		message.Field{Name: nameSniff, Value: noSniff})
	return []byte(s.page(c.fn.Name, min(refresh, latest)))
}

// A stage is how far a function's start is, for those who watch.
type stage struct {
	phase   string        // as in Status, or failed
	elapsed time.Duration // since the start began
	usual   time.Duration // that a start takes; 0 if that is not known
	retry   time.Duration // of a failed one: until the next may be tried
}

func stageOf(s *coldstart.Status, now time.Time) stage {
	at := stage{phase: s.Phase, usual: s.ETA}
	switch {
	case s.State == "starting":
		at.elapsed = max(now.Sub(s.Since), 0)
	case s.State == "cold" && s.Opens.After(now):
		at.phase, at.retry = "failed", s.Opens.Sub(now)
	}
	return at
}

// sentences are the page's own words, for those who have no scripts.
var sentences = map[string]string{
	"cold": "About to start.", "queued": "Waiting for its turn to start.", "provision": "Getting a place to run.",
	"boot": "An instance is starting up.", "draining": "About to start.", "warm": "Ready.", "failed": "It could not be started.",
}

// page is what a browser shows; refresh is when it comes again untold, in seconds.
func (s stage) page(function string, refresh int) string {
	name := html.EscapeString(function)
	class, value, eta := "", "", ""
	switch left := max(s.usual-s.elapsed, 0); {
	case s.phase == "failed":
		class, eta = "failed", fmt.Sprintf("The next try is in %d s.", seconds(s.retry))
	case s.usual > 0 && left > 0:
		value = fmt.Sprintf(` value="%d"`, 100*s.elapsed/s.usual)
		eta = fmt.Sprintf("About %d s left.", seconds(left))
	case s.usual > 0:
		value, eta = ` value="95"`, "It takes a little longer than usual."
	}
	at := map[string]string{s.phase: ` aria-current="step"`}
	return strings.NewReplacer(
		"{{title}}", "Starting "+name, "{{heading}}", "Starting "+name,
		"{{class}}", class, "{{events}}", html.EscapeString(watchPath+function),
		"{{phase}}", s.phase, "{{elapsed}}", millis(s.elapsed), "{{usual}}", millis(s.usual), "{{retry}}", millis(s.retry), "{{refresh}}", strconv.Itoa(refresh),
		"{{state}}", sentences[s.phase], "{{value}}", value, "{{eta}}", eta,
		"{{at queued}}", at["queued"], "{{at provision}}", at["provision"], "{{at boot}}", at["boot"],
	).Replace(waitingPage)
}

func millis(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }

// seconds rounds up, to 1 at least.
func seconds(d time.Duration) int { return max(1, int((d+time.Second-1)/time.Second)) }
