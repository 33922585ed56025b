package admin

import (
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/valyala/fasthttp"

	"github.com/weir-gateway/weir/config"
	"github.com/weir-gateway/weir/proxy/message"
	"github.com/weir-gateway/weir/proxy/table"
)

// An Explained says which route a call takes, and why.
type Explained struct {
	Method   string     `json:"method"`
	Host     string     `json:"host"`
	Path     string     `json:"path"` // as it is matched
	Function string     `json:"function,omitempty"`
	Route    *RouteAt   `json:"route"`  // null: none
	Status   int        `json:"status"` // that weir answers by itself; 0: the function answers
	Why      []string   `json:"why"`
	Passed   []PassedBy `json:"passed"` // routes that were asked before it, in this order
	Later    []RouteAt  `json:"later"`  // routes that would have taken the call without this one
	Allow    string     `json:"allow,omitempty"`
	Notes    []string   `json:"notes"`
}

// A RouteAt is a route, and where it is said.
type RouteAt struct {
	Path     string        `json:"path"` // in the configuration: routes[3]
	Rule     string        `json:"rule"`
	Function string        `json:"function"` // as that of a Route
	Origin   config.Origin `json:"origin"`
}

// PassedBy is a route that was passed over.
type PassedBy struct {
	RouteAt
	Why string `json:"why"`
}

// An Asked is the call that is asked about.
type Asked struct {
	URL, Method string
	Headers     []string // "Name: value"
}

var errURL = errors.New("the URL must be one of http or https, as in https://api.example.com/checkout?x=1")

// request makes a head of it.
func (a Asked) request() (*message.Request, error) {
	scheme, rest, ok := strings.Cut(a.URL, "://")
	if !ok || scheme != "http" && scheme != "https" {
		return nil, errURL
	}
	rest, _, _ = strings.Cut(rest, "#")
	at := strings.IndexAny(rest, "/?")
	if at < 0 {
		at = len(rest)
	}
	authority, target := rest[:at], rest[at:]
	if !strings.HasPrefix(target, "/") {
		target = "/" + target
	}
	if authority == "" || strings.Contains(authority, "@") {
		return nil, errURL
	}
	host := authority
	if name, _, err := net.SplitHostPort(authority); err == nil {
		host = name
	}
	path, query, _ := strings.Cut(target, "?")
	r := &message.Request{Method: []byte(a.Method), Authority: []byte(authority), Host: []byte(strings.ToLower(host))}
	if query != "" {
		r.Query = []byte(query)
	}
	for _, line := range a.Headers {
		name, value, ok := strings.Cut(line, ":")
		if !ok || name == "" {
			return nil, fmt.Errorf("%q is no header; say it as in \"X-Canary: 1\"", line)
		}
		field := message.Field{Name: []byte(name), Value: []byte(strings.TrimSpace(value))}
		field.ID = message.Lookup(field.Name)
		r.Fields = append(r.Fields, field)
	}
	return r, r.SetPath([]byte(path))
}

// Explain answers for a configuration; explain is the router's word.
func (a Asked) Explain(cfg *config.Config, explain func(*message.Request) table.Explanation) (Explained, error) {
	r, err := a.request()
	out := Explained{Method: a.Method, Why: []string{}, Passed: []PassedBy{}, Later: []RouteAt{}, Notes: []string{}}
	if err != nil {
		if r == nil || r.RawPath != nil {
			return out, err
		}
		return Explained{}, fmt.Errorf("weir answers 400 to such a path: %w", err)
	}
	out.Host, out.Path = string(r.Host), string(r.Path)
	e := explain(r)
	for _, p := range e.Passed {
		out.Passed = append(out.Passed, PassedBy{routeAt(cfg, p.Route), p.Why})
	}
	for _, to := range e.Later {
		out.Later = append(out.Later, routeAt(cfg, to))
	}
	if r.Slashes || r.Doubtful {
		out.Notes = append(out.Notes, "the path has something in it that not all endpoints read alike: if it would be another route's when read so, the answer is 400 (docs/routing.md)")
	}
	switch {
	case e.Route != nil:
		at := routeAt(cfg, e.Route)
		out.Route, out.Function, out.Why = &at, cfg.Routes[e.Route.Index].Function, e.Why
		if m := e.Route.Mirror; m != nil {
			out.Notes = append(out.Notes, fmt.Sprintf("copies of %v percent of the calls go to %s", cfg.Routes[e.Route.Index].Mirror.Percent, m.Name))
		}
		if e.Route.Access != nil {
			out.Notes = append(out.Notes, "the route has access rules: who may not call it is answered 403")
		}
		if l := e.Route.Fallback; l != nil {
			out.Notes = append(out.Notes, "what "+at.Function+" cannot answer has "+l.Text())
		}
		if fn := cfg.Functions[at.Function]; fn != nil {
			for i := range fn.RateLimit {
				r := &fn.RateLimit[i]
				note := "of " + at.Function + " come in " + r.Text() + "; beyond it the answer is 429"
				if r.Shared {
					note += "; the routers among peers share this out evenly"
				}
				out.Notes = append(out.Notes, note)
			}
		}
	case e.Allow != "":
		out.Status, out.Allow = fasthttp.StatusMethodNotAllowed, e.Allow
		out.Why = []string{"only routes for other methods match: " + e.Allow}
	default:
		out.Status, out.Why = fasthttp.StatusNotFound, []string{"no route matches this host and path"}
	}
	return out, nil
}

func routeAt(cfg *config.Config, to *table.Route) RouteAt {
	route := &cfg.Routes[to.Index]
	kind, pattern := route.PathRule()
	rule := fmt.Sprintf("%s %s", kind, pattern)
	if len(route.Hosts) > 0 {
		rule = strings.Join(route.Hosts, ", ") + " " + rule
	}
	path := fmt.Sprintf("routes[%d]", to.Index)
	return RouteAt{path, rule, route.Target(), cfg.Origin(path)}
}

// explain answers which route a call takes (?url=), how the calls of a function are
// divided between regions (?function=), or where values come from (?path=).
func (s *Server) explain(ctx *fasthttp.RequestCtx, _ string) {
	scene := s.Scene()
	tab := scene.Table
	if tab == nil {
		ctx.Response.Header.Set("Retry-After", "1")
		refuse(ctx, fasthttp.StatusServiceUnavailable, "not_ready", "weir has just started: no table stands yet.")
		return
	}
	args := ctx.QueryArgs()
	if args.Has("function") {
		explainShares(ctx, tab, string(args.Peek("function")))
		return
	}
	if !args.Has("url") {
		answerJSON(ctx, append([]config.Value{}, tab.Config.Values(string(args.Peek("path")))...))
		return
	}
	asked := Asked{URL: string(args.Peek("url")), Method: string(args.Peek("method"))}
	if asked.Method == "" {
		asked.Method = fasthttp.MethodGet
	}
	for _, header := range args.PeekMulti("header") {
		asked.Headers = append(asked.Headers, string(header))
	}
	out, err := asked.Explain(tab.Config, tab.Explain)
	if err != nil {
		refuse(ctx, fasthttp.StatusBadRequest, "bad_request", err.Error())
		return
	}
	if fn := tab.Functions[out.Function]; fn != nil {
		for _, l := range fn.Limiter.Limits().All() {
			if perSecond, burst := l.Portion(); l.Shared {
				out.Notes = append(out.Notes, fmt.Sprintf("now this router, one of %d, lets in %.4g per second, %d at once, by %s", max(1, len(scene.Routers)), perSecond, burst, l.Key))
			}
		}
	}
	answerJSON(ctx, out)
}
