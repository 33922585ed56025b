package admin

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/weir-gateway/weir/config/layers"
	"github.com/weir-gateway/weir/internal/shift"
	"github.com/weir-gateway/weir/internal/telemetry"
)

// Parts are what a Server is made of.
type Parts struct {
	Scene     func() telemetry.Scene // what lives now; from any goroutine
	Telemetry *telemetry.Telemetry
	Ready     *Readiness
	// Announce takes what an instance of a function, or its platform, says: kind
	// is ready or gone. It may take a second. Its error may be a Refusal.
	Announce func(ctx context.Context, function, kind, token string, body []byte) error
	Layers   *layers.Stack  // of the configuration; nil if it does not come from a file
	After    func(f func()) // has f called when calls go by what has been changed of Layers
	Shifts   *shift.Manager // nil if there are no Layers
	Log      *slog.Logger
}

// A Server is the operator's window.
type Server struct {
	Parts
	endpoints []endpoint
}

// An endpoint is what is answered under one path. A segment {f} stands for the
// name of a function, {r} for that of a region, {s} for the number of a shift, {path} at the end for one or more
// segments.
type endpoint struct {
	path, says string
	serve      func(ctx *fasthttp.RequestCtx, name string)
	does       string // something: the methods it is asked for with
}

// New makes a Server. Nothing happens before Serve.
func New(p Parts) *Server {
	s := &Server{Parts: p}
	s.endpoints = []endpoint{
		{"/", "this list", s.index, ""},
		{"/livez", "whether the process lives", s.live, ""},
		{"/readyz", "whether it should be sent calls; ?verbose says why not", s.ready, ""},
		{"/healthz", "the same as /livez", s.live, ""},
		{"/metrics", "metrics in the text format of Prometheus", s.metrics, ""},
		{"/debug/pprof/", "profiles of the process, if admin.pprof has them shown", s.pprof, ""},
		{"/debug/pprof/{path}", "one of them: go tool pprof reads profile and heap", s.pprof, ""},
		{"/api/v1/version", "which weir this is", s.view(version), ""},
		{"/api/v1/config", "the configuration that stands, with defaults filled in", s.view(effectiveConfig), ""},
		{"/api/v1/routes", "which calls go to which function", s.view(routes), ""},
		{"/api/v1/functions", "the functions and how they fare", s.view(functions), ""},
		{"/api/v1/functions/{f}", "one of them", s.view(oneFunction), ""},
		{"/api/v1/functions/{f}/endpoints", "who serves it now", s.view(endpointsOf), ""},
		{"/api/v1/functions/{f}/ready", "POST: an instance says that it listens (docs/webhook.md)", s.announce("ready"), "POST"},
		{"/api/v1/functions/{f}/gone", "POST: its platform says that it has ended", s.announce("gone"), "POST"},
		{"/api/v1/functions/{f}/reset", "POST: the next call is worth a start, although the last ones failed", s.view(reset), "POST"},
		{"/api/v1/regions", "the regions, and their share of each function's calls", s.tagged(s.view(regions)), ""},
		{"/api/v1/regions/{r}", "one of them; PUT {drain, disabled, weight, priority, ttl, author, reason}: override it, null takes that back", s.tagged(s.region), "GET, HEAD, PUT"},
		{"/api/v1/peers", "the routers that share limits", s.view(peers), ""},
		{"/api/v1/refused", "what of the configuration weir does without, and why", s.view(refused), ""},
	}
	s.endpoints = append(s.endpoints, s.shiftEndpoints()...)
	s.endpoints = append(s.endpoints, s.layerEndpoints()...)
	return s
}

const (
	// An operator's request is small and at hand.
	readTimeout  = 5 * time.Second
	writeTimeout = 30 * time.Second // 10,000 functions are a page of 50 MB
	idleTimeout  = 2 * time.Minute  // longer than a scrape interval
	bodyBytes    = 512 << 10        // an announcement has 100 bytes, a value of the configuration rarely more
	connections  = 256

	// lastAnswer is how long weir's end waits for an answer to be taken.
	lastAnswer = time.Second
)

// Serve answers on ln until ctx ends; it owns ln.
func (s *Server) Serve(ctx context.Context, ln net.Listener) error {
	server := &fasthttp.Server{
		Handler:               s.handler(isLoopback(ln.Addr())),
		ErrorHandler:          malformed,
		Name:                  "weir",
		ReadTimeout:           readTimeout,
		WriteTimeout:          writeTimeout,
		IdleTimeout:           idleTimeout,
		MaxRequestBodySize:    bodyBytes,
		Concurrency:           connections,
		Logger:                quiet{s.Log},
		SecureErrorLogMessage: true,
		CloseOnShutdown:       true,
	}
	served := make(chan struct{})
	var ended error // read after served is closed
	go func() {
		defer close(served)
		ended = server.Serve(ln)
	}()
	select {
	case <-served:
		return fmt.Errorf("the admin listener has ended: %w", cmp.Or(ended, net.ErrClosed))
	case <-ctx.Done():
	}
	end, cancel := context.WithTimeout(context.Background(), lastAnswer)
	defer cancel()
	err := server.ShutdownWithContext(end)
	_ = ln.Close() // Shutdown does not know the listener if Serve has hardly begun
	<-served
	if err != nil && !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, net.ErrClosed) {
		return fmt.Errorf("cannot close the admin listener: %w", err)
	}
	return nil
}

// handler is what every request goes through. fasthttp recovers from no panic,
// so it is done here.
func (s *Server) handler(loopback bool) fasthttp.RequestHandler {
	return func(ctx *fasthttp.RequestCtx) {
		defer func() {
			if bug := recover(); bug != nil {
				s.Log.Error("BUG: an admin request panicked", "path", string(ctx.Path()), "panic", fmt.Sprint(bug), "stack", string(debug.Stack()))
				ctx.Response.Reset()
				refuse(ctx, fasthttp.StatusInternalServerError, "internal", "Something went wrong inside weir.")
			}
		}()
		ctx.Response.Header.Set("Cache-Control", "no-store")
		ctx.Response.Header.Set("X-Content-Type-Options", "nosniff")
		if loopback && !isLocal(string(ctx.Host())) {
			refuse(ctx, fasthttp.StatusForbidden, "forbidden", "On a loopback address weir answers only to localhost or an IP address as Host.")
			return
		}
		s.route(ctx)
	}
}

func (s *Server) route(ctx *fasthttp.RequestCtx) {
	for _, e := range s.endpoints {
		name, ok := match(e.path, string(ctx.URI().PathOriginal()))
		switch {
		case !ok:
			continue
		case e.does != "" && !slices.Contains(strings.Split(e.does, ", "), string(ctx.Method())):
			refuse(ctx, fasthttp.StatusMethodNotAllowed, "method", fmt.Sprintf("Only %s is answered here.", strings.Replace(e.does, ",", " and", 1)))
			ctx.Response.Header.Set("Allow", e.does)
		case e.does != "" && !ctx.IsGet() && !ctx.IsHead() && len(ctx.Request.Header.Peek("Origin")) > 0: // a page in the operator's browser, of anybody's
			refuse(ctx, fasthttp.StatusForbidden, "forbidden", "A web page may not do this.")
		case e.does != "":
			e.serve(ctx, name)
		case !ctx.IsGet() && !ctx.IsHead():
			refuse(ctx, fasthttp.StatusMethodNotAllowed, "method", "Only GET and HEAD are answered here.")
			ctx.Response.Header.Set("Allow", "GET, HEAD")
		default:
			e.serve(ctx, name)
		}
		return
	}
	refuse(ctx, fasthttp.StatusNotFound, "not_found", "Nothing is here; / lists what there is.")
}

// match tells whether a path fits a pattern, and what stands for {f}, {r}, {s} or
// {path} in it. A pattern has one such word at most.
func match(pattern, path string) (name string, ok bool) {
	open := strings.IndexByte(pattern, '{')
	if open < 0 {
		return "", path == pattern
	}
	rest, ok := strings.CutPrefix(path, pattern[:open])
	if !ok {
		return "", false
	}
	word, after, _ := strings.Cut(pattern[open:], "}")
	rest, ok = strings.CutSuffix(rest, after)
	return rest, ok && rest != "" && (word == "{path" || !strings.Contains(rest, "/"))
}

// view is an endpoint that shows something as JSON.
func (s *Server) view(look func(scene telemetry.Scene, name string) any) func(*fasthttp.RequestCtx, string) {
	return func(ctx *fasthttp.RequestCtx, name string) {
		scene := s.Scene()
		if scene.Table == nil {
			ctx.Response.Header.Set("Retry-After", "1")
			refuse(ctx, fasthttp.StatusServiceUnavailable, "not_ready", "weir has just started: no table stands yet.")
			return
		}
		seen := look(scene, name)
		if seen == nil {
			refuse(ctx, fasthttp.StatusNotFound, "not_found", fmt.Sprintf("There is no function %q.", name))
			return
		}
		answerJSON(ctx, seen)
	}
}

func answerJSON(ctx *fasthttp.RequestCtx, v any) {
	ctx.Response.Header.SetContentType("application/json")
	e := json.NewEncoder(ctx)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(v); err != nil {
		panic("BUG: what the admin interface shows is not JSON: " + err.Error())
	}
}

func (s *Server) index(ctx *fasthttp.RequestCtx, _ string) {
	ctx.Response.Header.SetContentType("text/plain; charset=utf-8")
	for _, e := range s.endpoints {
		fmt.Fprintf(ctx, "%-33s %s\n", e.path, e.says)
	}
}

func (s *Server) live(ctx *fasthttp.RequestCtx, _ string) {
	ctx.Response.Header.SetContentType("text/plain; charset=utf-8")
	ctx.Response.SetBodyString("ok\n")
}

func (s *Server) ready(ctx *fasthttp.RequestCtx, _ string) {
	report, ready := s.Ready.report(nil, ctx.QueryArgs().Has("verbose"))
	ctx.Response.Header.SetContentType("text/plain; charset=utf-8")
	ctx.Response.SetBodyRaw(report)
	if !ready {
		ctx.Response.SetStatusCode(fasthttp.StatusServiceUnavailable)
	}
}

func (s *Server) metrics(ctx *fasthttp.RequestCtx, _ string) {
	ctx.Response.Header.SetContentType("text/plain; version=0.0.4; charset=utf-8")
	if err := s.Telemetry.WritePrometheus(ctx, s.Scene()); err != nil {
		panic("BUG: the page is written into memory: " + err.Error())
	}
}

// malformed answers what is no request.
func malformed(ctx *fasthttp.RequestCtx, err error) {
	var large *fasthttp.ErrSmallBuffer
	switch {
	case errors.As(err, &large):
		refuse(ctx, fasthttp.StatusRequestHeaderFieldsTooLarge, "head_too_large", "The head of the request is too large.")
	case errors.Is(err, fasthttp.ErrBodyTooLarge):
		refuse(ctx, fasthttp.StatusRequestEntityTooLarge, "body_too_large", "The body of the request is too large.")
	default:
		refuse(ctx, fasthttp.StatusBadRequest, "bad_request", "The request is malformed.")
	}
}

func isLoopback(addr net.Addr) bool {
	tcp, ok := addr.(*net.TCPAddr)
	return ok && tcp.IP.IsLoopback()
}

// isLocal tells whether a Host names no name but localhost. HTTP/1.0, which no
// browser speaks, may leave it out.
func isLocal(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	if host == "" || strings.EqualFold(host, "localhost") {
		return true
	}
	_, err := netip.ParseAddr(host)
	return err == nil
}

// quiet passes fasthttp's complaints about connections on to where nobody is
// bothered by them.
type quiet struct{ log *slog.Logger }

// Printf is fasthttp's.
func (q quiet) Printf(format string, args ...any) {
	q.log.Debug("admin", "message", fmt.Sprintf(format, args...))
}
