package admin

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/weir-gateway/weir/config"
	"github.com/weir-gateway/weir/config/layers"
	"github.com/weir-gateway/weir/internal/telemetry"
)

// Steering is what is asked of a region with PUT. What is not said stays as it is;
// null takes an override back.
type Steering struct {
	Drain    json.RawMessage `json:"drain,omitempty"`
	Disabled json.RawMessage `json:"disabled,omitempty"`
	Weight   json.RawMessage `json:"weight,omitempty"`
	Priority json.RawMessage `json:"priority,omitempty"`
	TTL      string          `json:"ttl,omitempty"` // 10m; without one it lasts until it is taken back
	Author   string          `json:"author,omitempty"`
	Reason   string          `json:"reason,omitempty"`
}

// region shows one of them, or steers it.
func (s *Server) region(ctx *fasthttp.RequestCtx, name string) {
	tab := s.Scene().Table
	if tab != nil && !isRegion(tab, name) {
		refuse(ctx, fasthttp.StatusNotFound, "not_found", fmt.Sprintf("There is no region %q: none is configured so, and no endpoint is there.", name))
		return
	}
	if tab != nil && ctx.IsPut() && !s.steer(ctx, name) { // before there is one nobody knows what may be steered
		return
	}
	s.view(func(scene telemetry.Scene, name string) any { return regionNamed(scene.Table, name) })(ctx, name)
}

// steer overrides what is configured of a region, and answers what cannot be.
func (s *Server) steer(ctx *fasthttp.RequestCtx, name string) bool {
	asked := Steering{}
	if s.Layers == nil {
		refuse(ctx, fasthttp.StatusNotFound, "not_found", "This weir was not started from a file, so nothing can be put over it.")
		return false
	}
	if !readJSON(ctx, &asked) {
		return false
	}
	wish := layers.Wish{Author: asked.Author, Reason: asked.Reason}
	var ok bool
	if wish.TTL, ok = readTTL(ctx, asked.TTL); !ok {
		return false
	}
	path := "regions/" + name + "/"
	values := map[string]json.RawMessage{}
	for key, value := range map[string]json.RawMessage{"drain": asked.Drain, "disabled": asked.Disabled, "weight": asked.Weight, "priority": asked.Priority} {
		switch {
		case value == nil:
		case string(value) == "null":
			values[path+key] = nil
		default:
			values[path+key] = value
		}
	}
	if len(values) == 0 {
		refuse(ctx, fasthttp.StatusBadRequest, "bad_request", "Say at least one of drain, disabled, weight and priority.")
		return false
	}
	// Where only an override drains or disables it, taking that back is enough: one that
	// says the opposite would hide what the file says later.
	for key, said := range map[string]func(config.Region) bool{
		"drain":    func(r config.Region) bool { return r.Drain },
		"disabled": func(r config.Region) bool { return r.Disabled },
	} {
		if !bytes.Equal(values[path+key], []byte("false")) {
			continue
		}
		if cfg, err := s.Layers.Without(path + key); err == nil && !said(cfg.Regions[name]) {
			values[path+key] = nil
		}
	}
	if err := s.Layers.PutAll(values, wish, ifMatch(ctx)); err != nil {
		s.reject(ctx, err)
		return false
	}
	s.settled()
	ctx.Response.Header.Set("ETag", strconv.Quote(s.Layers.Tag()))
	return true
}

// ifMatch is the tag that a change is bound to; "" if it is to none.
func ifMatch(ctx *fasthttp.RequestCtx) string {
	tag := strings.Trim(string(ctx.Request.Header.Peek("If-Match")), `" `)
	if tag == "*" {
		return ""
	}
	return tag
}

// settling is how long an answer waits at most for a change to have its effect.
const settling = time.Second

// settled returns when calls go by the configuration that stands: whoever has had
// the answer can rely on it.
func (s *Server) settled() {
	done := make(chan struct{})
	s.After(func() { close(done) })
	late := time.NewTimer(settling)
	defer late.Stop()
	select {
	case <-done:
	case <-late.C:
	}
}
