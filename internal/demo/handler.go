package demo

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"strings"
	"time"
)

// Handler is the Screen as the place where weir's log goes: the events that
// belong to the life of a function in words, what functions print, warnings
// and errors as they are, and nothing else.
func (s *Screen) Handler() slog.Handler { return &handler{screen: s} }

type handler struct {
	screen *Screen
	attrs  []slog.Attr // by With
}

func (h *handler) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelInfo }

func (h *handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &handler{h.screen, append(h.attrs[:len(h.attrs):len(h.attrs)], attrs...)}
}

// WithGroup changes nothing: weir's log has no groups.
func (h *handler) WithGroup(string) slog.Handler { return h }

func (h *handler) Handle(_ context.Context, r slog.Record) error {
	n := news{at: r.Time, message: r.Message, level: r.Level, attrs: h.attrs[:len(h.attrs):len(h.attrs)]}
	r.Attrs(func(a slog.Attr) bool {
		n.attrs = append(n.attrs, a)
		return true
	})
	h.screen.tell(n)
	return nil
}

// news is one record of the log.
type news struct {
	at      time.Time
	message string
	level   slog.Level
	attrs   []slog.Attr
}

func (n news) get(key string) slog.Value {
	for _, a := range n.attrs {
		if a.Key == key {
			return a.Value.Resolve()
		}
	}
	return slog.Value{}
}

func (n news) text(key string) string {
	if v := n.get(key); v.Any() != nil {
		return v.String()
	}
	return ""
}

func (n news) number(key string) int64 {
	switch v := n.get(key); v.Kind() {
	case slog.KindInt64:
		return v.Int64()
	case slog.KindFloat64:
		return int64(v.Float64())
	}
	return 0
}

// duration is the value of a key that ends with _ms.
func (n news) duration(key string) string {
	if v := n.get(key); v.Kind() == slog.KindFloat64 {
		return figure(time.Duration(v.Float64() * float64(time.Millisecond)))
	}
	return figure(time.Duration(n.number(key)) * time.Millisecond)
}

// seconds is the same for long ones.
func (n news) seconds(key string) string {
	return fmt.Sprintf("%g s", math.Round(float64(n.number(key))/100)/10)
}

// tell puts a record on the screen, if it is one for people.
func (s *Screen) tell(n news) {
	function := n.text("function")
	switch {
	case n.text("stream") != "":
		s.event(n.at, faint, function, "says", n.message)
		return
	case function != "" && s.tellLife(n, function):
		return
	}
	switch {
	case n.message == "draining":
		s.event(n.at, plain, "weir", "draining", "no call is taken any more, "+count(n.number("in_flight"), "is", "are")+" inside")
	case n.message == "drained":
		s.event(n.at, plain, "weir", "drained", "in "+n.duration("took_ms"))
	case n.level >= slog.LevelError:
		s.event(n.at, bad, or(function, "weir"), "error", n.plainly())
	case n.level >= slog.LevelWarn:
		s.event(n.at, bad, or(function, "weir"), "warning", n.plainly())
	}
}

// tellLife tells of the life of a function, if that is what n is about.
func (s *Screen) tellLife(n news, function string) bool {
	held := n.number("held")
	switch n.message {
	case "starting":
		instance := "an instance"
		if n.number("usual_ms") > 0 {
			instance += ", ready in about " + n.seconds("usual_ms")
		}
		if held == 0 {
			s.event(n.at, wait, function, "starting", instance)
		} else {
			s.event(n.at, wait, function, "held", count(held, "call waits", "calls wait")+", starting "+instance)
		}
	case "a call is expected":
		words := "a call, after that of " + n.text("after")
		if n.text("in_ms") != "" {
			words = "a call in " + n.seconds("in_ms")
		}
		s.event(n.at, wait, function, "expects", words)
	case "a window opens", "a window closes":
		s.event(n.at, plain, function, "window", strings.TrimPrefix(n.message, "a window ")+", at least "+count(n.number("instances"), "instance"))
	case "started":
		words := "in " + n.duration("took_ms")
		if held > 0 {
			words += ", " + count(held, "call was", "calls were") + " waiting"
		}
		s.event(n.at, good, function, "started", words)
	case "start failed":
		s.event(n.at, bad, function, "failed", n.text("error"))
		if n.number("retry_ms") > 0 { // else the next call is worth a try
			s.event(n.at, bad, function, "", "no other start is tried for "+n.seconds("retry_ms"))
		}
	case "instance listens":
		s.listens(function, n.text("instance"))
	case "instance exited":
		if s.ends(function, n.text("instance")) { // else the failed start says it
			s.event(n.at, bad, function, "exited", n.end()+" after "+n.duration("lived_ms"))
		}
	case "instance stopped":
		s.ends(function, n.text("instance"))
	case "idle":
		s.event(n.at, plain, function, "idle", "no call for "+n.seconds("idle_ms")+", stopping")
	case "stopped":
		if n.text("reason") != "start_failed" {
			s.event(n.at, plain, function, "stopped", "nothing of it runs")
		}
	case "instance spawned":
	default:
		return false
	}
	return true
}

func (s *Screen) listens(function, instance string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.listened[function+" "+instance] = true
}

// ends tells whether an instance that is over has ever listened.
func (s *Screen) ends(function, instance string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	listened := s.listened[function+" "+instance]
	delete(s.listened, function+" "+instance)
	return listened
}

// end is how an instance ended.
func (n news) end() string {
	if signal := n.text("signal"); signal != "" {
		return "killed by " + signal
	}
	return fmt.Sprintf("with status %d", n.number("status"))
}

// plainly is a record with all that it says.
func (n news) plainly() string {
	var b strings.Builder
	b.WriteString(n.message)
	for _, a := range n.attrs {
		if a.Key != "function" {
			fmt.Fprintf(&b, " %s=%v", a.Key, a.Value)
		}
	}
	return b.String()
}

// count is "1 call" or "200 calls"; many is needed where an s does not do.
func count(n int64, one string, many ...string) string {
	switch {
	case n == 1:
		return "1 " + one
	case len(many) > 0:
		return fmt.Sprintf("%d %s", n, many[0])
	}
	return fmt.Sprintf("%d %ss", n, one)
}

func or(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}
