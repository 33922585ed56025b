package admin

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/weir-gateway/weir/config"
	"github.com/weir-gateway/weir/config/layers"
)

// A Place is where a mistake is, as answers with status 422 list them.
type Place struct {
	File    string `json:"file"`
	Line    int    `json:"line"`
	Column  int    `json:"column"`
	Message string `json:"message"`
	Hint    string `json:"hint,omitempty"`
}

// A rejection is a problem with the places of what is wrong.
type rejection struct {
	problem
	Mistakes []Place `json:"mistakes,omitempty"`
}

// places are the mistakes for a person, if they say more than the detail.
func (r rejection) places() string {
	if len(r.Mistakes) < 2 {
		return ""
	}
	text := ""
	for _, m := range r.Mistakes {
		text += fmt.Sprintf("\n%s:%d:%d: %s", m.File, m.Line, m.Column, m.Message)
		if m.Hint != "" {
			text += "; " + m.Hint
		}
	}
	return text
}

// An Override is what overrides the configuration, as it is asked for with PUT.
type Override struct {
	Value  json.RawMessage `json:"value"`
	TTL    string          `json:"ttl,omitempty"` // 10m; without one it lasts until it is taken back
	Author string          `json:"author,omitempty"`
	Reason string          `json:"reason,omitempty"`
}

// A Rollback is asked for with POST.
type Rollback struct {
	To     *int   `json:"to,omitempty"` // version of the history; the one before if not given
	Author string `json:"author,omitempty"`
	Reason string `json:"reason,omitempty"`
}

func (s *Server) layerEndpoints() []endpoint {
	return []endpoint{
		{"/api/v1/explain", "?url=&method=&header=: which route a call takes, and why; ?function=&health=&client=: the shares of its regions; ?path=functions.f: where values come from", s.explain, ""},
		{"/api/v1/config/history", "the last 20 configurations: when, from where, by whom and why", s.layered(s.history), ""},
		{"/api/v1/config/diff", "?from=4&to=6: what differs between two of them; without, what the last change was", s.layered(s.diff), ""},
		{"/api/v1/config/rollback", "POST {to, author, reason}: have one of them stand again", s.layered(s.rollback), "POST"},
		{"/api/v1/config/reload", "POST: read the files again, as SIGHUP does", s.layered(s.reload), "POST"},
		{"/api/v1/config/overrides", "what operators have put over the file and over Consul's keys", s.layered(s.overrides), ""},
		{"/api/v1/config/overrides/{path}", "PUT {value, ttl, author, reason}, DELETE: functions/checkout/timeouts/request", s.layered(s.override), "PUT, DELETE"},
	}
}

// layered is an endpoint for a weir that has layers.
func (s *Server) layered(serve func(*fasthttp.RequestCtx, string)) func(*fasthttp.RequestCtx, string) {
	return func(ctx *fasthttp.RequestCtx, name string) {
		if s.Layers == nil {
			refuse(ctx, fasthttp.StatusNotFound, "not_found", "This weir was not started from a file, so it has no layers and no history.")
			return
		}
		serve(ctx, name)
	}
}

func (s *Server) history(ctx *fasthttp.RequestCtx, _ string) { answerJSON(ctx, s.Layers.History()) }

func (s *Server) diff(ctx *fasthttp.RequestCtx, _ string) {
	versions := map[string]int{"from": -1, "to": 0}
	for key := range versions {
		word := string(ctx.QueryArgs().Peek(key))
		if word == "" {
			continue
		}
		n, err := strconv.Atoi(word)
		if err != nil {
			refuse(ctx, fasthttp.StatusBadRequest, "bad_request", fmt.Sprintf("%s is the number of a configuration in the history, not %q.", key, word))
			return
		}
		versions[key] = n
	}
	diff, err := s.Layers.Diff(versions["from"], versions["to"])
	if err != nil {
		s.reject(ctx, err)
		return
	}
	answerJSON(ctx, diff)
}

func (s *Server) rollback(ctx *fasthttp.RequestCtx, _ string) {
	asked := Rollback{}
	if !readJSON(ctx, &asked) {
		return
	}
	to := -1
	if asked.To != nil {
		to = *asked.To
	}
	entry, err := s.Layers.Rollback(to, asked.Author, asked.Reason)
	if err != nil {
		s.reject(ctx, err)
		return
	}
	s.settled()
	answerJSON(ctx, entry)
}

func (s *Server) reload(ctx *fasthttp.RequestCtx, _ string) {
	var mistakes config.Errors
	err := s.Layers.Reload("asked for over the admin interface")
	switch {
	case errors.As(err, &mistakes):
		s.reject(ctx, &layers.Refusal{Kind: layers.Invalid, Detail: "The configuration has mistakes; the last good one stands.", Mistakes: mistakes})
	case err != nil:
		s.reject(ctx, &layers.Refusal{Kind: layers.Unusable, Detail: err.Error()})
	default:
		s.settled()
		answerJSON(ctx, s.Layers.History()[0])
	}
}

// Overrides are those that stand, as /api/v1/config/overrides shows them.
type Overrides struct {
	Overrides []layers.Override `json:"overrides"`
}

func (s *Server) overrides(ctx *fasthttp.RequestCtx, _ string) {
	list, tag := s.Layers.Overrides()
	ctx.Response.Header.Set("ETag", strconv.Quote(tag))
	answerJSON(ctx, Overrides{append([]layers.Override{}, list...)})
}

func (s *Server) override(ctx *fasthttp.RequestCtx, path string) {
	path, err := url.PathUnescape(path)
	if err != nil {
		refuse(ctx, fasthttp.StatusBadRequest, "bad_request", "The path is malformed.")
		return
	}
	tag := ifMatch(ctx)
	asked := Override{}
	if (len(ctx.PostBody()) > 0 || ctx.IsPut()) && !readJSON(ctx, &asked) {
		return
	}
	if ctx.IsDelete() {
		if err := s.Layers.Delete(path, asked.Author, asked.Reason, tag); err != nil {
			s.reject(ctx, err)
			return
		}
		s.settled()
		s.overrides(ctx, "")
		return
	}
	wish := layers.Wish{Value: asked.Value, Author: asked.Author, Reason: asked.Reason}
	var ok bool
	if wish.TTL, ok = readTTL(ctx, asked.TTL); !ok {
		return
	}
	if _, err := s.Layers.Put(path, wish, tag); err != nil {
		s.reject(ctx, err)
		return
	}
	s.settled()
	s.overrides(ctx, "")
}

// readTTL reads how long an override stands, 0 for until it is taken back, and
// answers what is none.
func readTTL(ctx *fasthttp.RequestCtx, text string) (ttl time.Duration, ok bool) {
	if text == "" {
		return 0, true
	}
	ttl, err := time.ParseDuration(text)
	if err != nil || ttl <= 0 {
		refuse(ctx, fasthttp.StatusBadRequest, "bad_request", fmt.Sprintf("ttl is not a duration: %q; write it as in 90s, 10m or 2h, or leave it out.", text))
		return 0, false
	}
	return ttl, true
}

// readJSON reads the body of a request, and answers one that cannot be read.
func readJSON(ctx *fasthttp.RequestCtx, into any) bool {
	if len(ctx.PostBody()) == 0 {
		return true
	}
	d := json.NewDecoder(strings.NewReader(string(ctx.PostBody())))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil || d.More() {
		what := "there is more than one value"
		if err != nil {
			what = strings.TrimPrefix(err.Error(), "json: ")
		}
		refuse(ctx, fasthttp.StatusBadRequest, "bad_request", fmt.Sprintf("The body is not what is asked for here: %s.", what))
		return false
	}
	return true
}

// reject answers with why a change was not made.
func (s *Server) reject(ctx *fasthttp.RequestCtx, err error) {
	var refusal *layers.Refusal
	if !errors.As(err, &refusal) {
		s.Log.Error("a change of the configuration failed", "error", err.Error())
		refuse(ctx, fasthttp.StatusInternalServerError, "internal", "Something went wrong inside weir.")
		return
	}
	status := map[string]int{
		layers.NotFound: fasthttp.StatusNotFound, layers.Invalid: fasthttp.StatusUnprocessableEntity,
		layers.Stale: fasthttp.StatusPreconditionFailed, layers.Unusable: fasthttp.StatusConflict,
		layers.Full: fasthttp.StatusConflict, layers.NotKept: fasthttp.StatusInsufficientStorage,
	}[refusal.Kind]
	answer := rejection{problem: problem{"urn:weir:problem:" + refusal.Kind, fasthttp.StatusMessage(status), status, refusal.Detail}}
	for _, e := range refusal.Mistakes {
		answer.Mistakes = append(answer.Mistakes, Place{e.File, e.Line, e.Column, e.Message, e.Hint})
	}
	answerJSON(ctx, answer)
	ctx.Response.Header.SetContentType("application/problem+json")
	ctx.Response.SetStatusCode(status)
}
