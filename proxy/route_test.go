package proxy

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"path"
	"strings"
	"testing"

	"github.com/weir-gateway/weir/coldstart"
	"github.com/weir-gateway/weir/config"
	"github.com/weir-gateway/weir/discovery"
	"github.com/weir-gateway/weir/proxy/message"
	"github.com/weir-gateway/weir/proxy/table"
)

type noMeter struct{}

func (noMeter) Unregister() {}

// tableOf builds the table of a document that lacks its listener.
func tableOf(t testing.TB, doc string) *table.Table {
	t.Helper()
	cfg, err := config.Parse("test.yaml", []byte("listeners: [{ address: '127.0.0.1:1' }]\n"+doc))
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	keeper := table.NewKeeper(cfg, table.Parts{
		Provider: discovery.NewStatic(log), Activator: coldstart.NewActivator(nil, nil, log),
		NewMeter: func(string) table.Meter { return noMeter{} }, Log: log,
	})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = keeper.Run(ctx) }()
	<-keeper.Ready()
	cancel()
	<-done
	return keeper.Table()
}

const pathsDoc = `
functions: { root: {}, public: {}, internal: {}, deep: {}, decode: {}, refuse: {}, raw: {}, exact: {}, template: {}, regex: {}, posted: {} }
routes:
  - { path_prefix: /, function: root }
  - { path_prefix: /public, function: public }
  - { path_prefix: /public/deep, function: deep }
  - { path_prefix: /internal, function: internal }
  - { path_prefix: /decode, function: decode, encoded_slash: decode }
  - { path_prefix: /refuse, function: refuse, encoded_slash: refuse }
  - { path_prefix: /raw, function: raw, raw_path: true }
  - { path: "/jobs:purge", function: exact }
  - { path: /internal/exact/, function: exact }
  - { path_template: "/users/{id}/posts", function: template }
  - { path_template: "/users/{id}/posts", methods: [POST], function: posted }
  - { path_regex: "/v[0-9]+/[a-z(;]*", function: regex }
`

// routed is where a path leads to, and as what.
func routed(tab *table.Table, raw string) (function, forwarded string, err error) {
	c := &Call{table: tab}
	c.Request.Host = []byte("h")
	if err := c.Request.SetPath([]byte(raw)); err != nil {
		return "", "", err
	}
	if err := c.route(); err != nil {
		return "", "", err
	}
	return c.fn.Name, string(c.Request.Path), nil
}

func TestRoutedPaths(t *testing.T) {
	tab := tableOf(t, pathsDoc)
	f := func(raw, function, forwarded string) {
		t.Helper()
		fn, path, err := routed(tab, raw)
		if err != nil || fn != function || path != forwarded {
			t.Errorf("%s leads to %q as %q, %v; want %q as %q", raw, fn, path, err, function, forwarded)
		}
	}
	refused := func(raw string, want error) {
		t.Helper()
		if fn, path, err := routed(tab, raw); !errors.Is(err, want) {
			t.Errorf("%s leads to %q as %q, %v; want %v", raw, fn, path, err, want)
		}
	}
	f("/public/x", "public", "/public/x")
	f("/public/../internal/x", "internal", "/internal/x")
	f("/public/%2e%2e/internal/x", "internal", "/internal/x")
	f("/public/a%2fb", "public", "/public/a%2Fb")
	f("/public/a%2f%2fb", "public", "/public/a%2F%2Fb")
	f("/public/a%252fb", "public", "/public/a%252fb")
	refused("/public/..%2finternal", errSlashDots)
	refused("/public/a%2f..%2f..%2finternal", errSlashDots)
	refused("/public/a%2f.", errSlashDots)
	refused("/public/%2f..", errSlashDots)
	refused("/public/a%2f..%2f..%2f..", message.KindBad)
	refused("/public%2fx", errSlashLost) // of / and, decoded, of /public
	refused("/%2finternal", errSlashLost)
	refused("/internal%2fx", errSlashLost)
	refused("/public/deep%2fx", errSlashLost)
	f("/jobs:purge", "exact", "/jobs:purge")
	refused("/jobs%3apurge", errDoubtful)
	refused("/jobs:purge;x=1", errDoubtful)
	refused("/jobs%3Apurge%3bx", errDoubtful)
	f("/jobs%3a", "root", "/jobs%3A")
	f("/jobs;v=1", "root", "/jobs;v=1")
	refused("/internal;v=1/x", errDoubtful)
	refused("/;/internal", errDoubtful)
	refused("/%3b/internal", errDoubtful)
	f("/internal/exact/", "exact", "/internal/exact/")
	f("/internal/exact", "internal", "/internal/exact")
	refused("/internal/exact/;", errDoubtful)
	f("/users/4711/posts", "template", "/users/4711/posts")
	f("/users/4%3A7;v=1/posts", "template", "/users/4%3A7;v=1/posts")
	f("/users/a%20b/posts", "template", "/users/a%20b/posts")
	refused("/users/a%2Fb/posts", errSlashLost)
	refused("/users/;a/posts", errDoubtful)
	f("/v1/x", "regex", "/v1/x")
	refused("/v1/x%28", errDoubtful)
	refused("/public/..;x/internal", message.KindBad)
	refused("/public/..%3bx/internal", message.KindBad)
	refused("/public/..;%2finternal", message.KindBad)
	f("/public/..x;/a;b=c", "public", "/public/..x;/a;b=c")
	f("/decode/a%2fb", "decode", "/decode/a/b")
	f("/decode/..%2finternal/x", "internal", "/internal/x")
	f("/decode/a%2f%2f%2e%2f..%2fb", "decode", "/decode/b")
	refused("/decode/..%2f..%2fx", message.KindBad)
	f("/refuse/a", "refuse", "/refuse/a")
	refused("/refuse/a%2fb", errSlash)
	f("/raw//a/./%62%2f..%2f", "raw", "/raw//a/./%62%2f..%2f")
	f("/public/../raw/x", "raw", "/public/../raw/x")
}

// readings are what endpoints make of a path: as it stands, decoded as a whole,
// segment by segment, without parameters, with backslashes for slashes.
func readings(p string) (all []string) {
	plain, err := url.PathUnescape(p)
	if err != nil {
		return nil
	}
	var bySegment, bare, bareAfter []string
	for s := range strings.SplitSeq(p, "/") {
		d, _ := url.PathUnescape(s)
		bySegment = append(bySegment, d)
		d, _, _ = strings.Cut(d, ";")
		bareAfter = append(bareAfter, d)
		s, _, _ = strings.Cut(s, ";")
		d, _ = url.PathUnescape(s)
		bare = append(bare, d)
	}
	for _, read := range []string{
		p, plain, strings.Join(bySegment, "/"), strings.Join(bare, "/"), strings.Join(bareAfter, "/"), strings.ReplaceAll(plain, `\`, "/"),
	} {
		clean := path.Clean(read)
		if clean != "/" && strings.HasSuffix(read, "/") {
			clean += "/"
		}
		all = append(all, clean)
	}
	return all
}

// encodedAgain is a path that was read, as it would have to be written to be
// matched.
func encodedAgain(p string) []byte {
	var b []byte
	for i := range len(p) {
		if c := p[i]; c == '/' || message.Literal(c) {
			b = append(b, c)
		} else {
			b = fmt.Appendf(b, "%%%02X", c)
		}
	}
	return b
}

// Nothing that matches one route can mean another to its endpoint, whatever kind
// of path the routes are for.
func FuzzRoutedPaths(f *testing.F) {
	tab := tableOf(f, pathsDoc)
	for _, s := range []string{
		"/public/../internal/x", "/public/..%2finternal", "/public/%2e%2e%2finternal", "/public/a%2f..%2f..%2finternal",
		"/public%2f..%2finternal", "/decode/..%2finternal", "/public/..;/internal", "/public/.%2e/internal", "/raw/../public",
		"/public/a%5c..%5c..%5cinternal", "//public//..//internal", "/public/deep%2f..", "/public/%25%32%65%25%32%65/internal",
		"/jobs%3Apurge", "/;a/internal", "/internal;a", "/users/;a/posts", "/users/a%2fb/posts", "/v1/x%28", "/users/a;b%2fc/posts",
		"/a;b%2F..%2Finternal", "/%3binternal", "/internal/exact/%3b", "/internal/exact/;x", "/decode/a;b%2f%3bc", "/v1/%3b%28",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		if strings.ContainsAny(raw, "?# ") || strings.ContainsFunc(raw, func(r rune) bool { return r < ' ' || r == 0x7f }) {
			return // not in a path
		}
		fn, forwarded, err := routed(tab, raw)
		if err != nil {
			return
		}
		if fn == "raw" {
			if forwarded != raw {
				t.Fatalf("%q goes on as %q", raw, forwarded)
			}
			return
		}
		for _, read := range readings(forwarded) {
			r := message.Request{Host: []byte("h"), Method: []byte("GET")}
			if to, _ := tab.Match(&r, encodedAgain(read)); to == nil || to.Name != fn {
				t.Fatalf("%q goes to %s as %q, which can be read as %q, of %v", raw, fn, forwarded, read, to)
			}
		}
		if again, same, err := routed(tab, forwarded); err != nil || again != fn || same != forwarded {
			t.Fatalf("%q goes to %s as %q, and that to %s as %q, %v", raw, fn, forwarded, again, same, err)
		}
	})
}

// What the configuration lets stand in a path for itself is what is decoded
// before routes are compared.
func TestLiteralsInRoutes(t *testing.T) {
	for c := range 128 {
		written := fmt.Sprintf("/x%%%02Xy", c)
		doc := "listeners: [{ address: ':1' }]\nfunctions: { f: {} }\nroutes: [{ path: '" + written + "', function: f }]\n"
		_, err := config.Parse("test.yaml", []byte(doc))
		if want := !message.Literal(byte(c)) && c != 0 && c != '\\'; want != (err == nil) {
			t.Errorf("%s in a route: %v", written, err)
		}
	}
}

// What the configuration lets pass as a trailer is nothing that weir acts on.
func TestNoKnownNameCanBeATrailer(t *testing.T) {
	for id := message.Accept; id < message.XForwarded; id++ {
		doc := "listeners: [{ address: ':1' }]\nfunctions: { f: { trailers: [" + string(message.Name(id)) + "] } }\n"
		if _, err := config.Parse("test.yaml", []byte(doc)); err == nil {
			t.Errorf("%s can be a trailer", message.Name(id))
		}
	}
}
