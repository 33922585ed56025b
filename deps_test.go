package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/weir-gateway/weir"

// mayImport is the architecture as a list: which of our packages each of them
// may import. A new edge is a decision, made here. Package main may import
// everything but bench; tests may import what they like, within never.
var mayImport = map[string][]string{
	"config":                       {"internal/cron"}, // to say what is wrong with an expression, and where
	"discovery":                    {"config"},
	"discovery/consul":             {"config", "discovery"},
	"shaping":                      {"config", "internal/moment"},
	"shaping/geo":                  {"config"},
	"coldstart":                    {"config"},
	"coldstart/forecast":           {"config", "internal/cron"},                                          // not coldstart: it is given what it may do
	"coldstart/process/trampoline": {},                                                                   // comes before everything else in the program
	"coldstart/process":            {"config", "coldstart", "discovery", "coldstart/process/trampoline"}, // a platform knows the addresses of what it raised
	"proxy/message":                {"internal/moment"},                                                  // the call as bytes, shared by those who serve it
	"proxy/table":                  {"config", "discovery", "shaping", "shaping/geo", "coldstart", "proxy/message", "internal/moment"},
	"proxy":                        {"config", "shaping", "shaping/geo", "coldstart", "proxy/table", "proxy/message", "internal/moment"}, // not discovery: nothing on the path can start a look-up
	"proxy/http1":                  {"config", "shaping", "proxy", "proxy/table", "proxy/message", "internal/moment"},                    // shaping: who may connect
	"internal/telemetry":           {"config", "proxy", "proxy/table", "proxy/message", "coldstart", "internal/moment"},
	"internal/tracing":             {"config", "proxy", "proxy/table", "proxy/message", "coldstart", "internal/telemetry"},                             // of which it is a Tracer
	"internal/admin":               {"config", "config/layers", "internal/shift", "proxy/message", "proxy/table", "shaping/geo", "internal/telemetry"}, // layers: operators change and roll back the configuration
	"config/layers":                {"config"},
	"internal/cron":                {},
	"internal/shift":               {"config", "config/layers"}, // its steps are overrides
	"internal/testkit":             {},
	"internal/moment":              {}, // moments as numbers: on the way of a call time.Time takes 75 ns more
	"internal/demo":                {"config"},
	"bench":                        {}, // sees weir only from outside

	"coldstart/webhook":             {"config", "coldstart", "discovery"},
	"coldstart/docker":              {"config", "coldstart", "discovery"},
	"coldstart/scalertest":          {"config", "coldstart", "discovery"}, // the suite of the platforms, and what their instances run
	"coldstart/scalertest/function": {"coldstart/scalertest"},

	"discovery/document":     {"config", "discovery"},
	"discovery/dns":          {"config", "discovery"},
	"discovery/file":         {"config", "discovery", "discovery/document"},
	"discovery/httpjson":     {"config", "discovery", "discovery/document"},
	"discovery/tags":         {"config", "discovery"},
	"discovery/providertest": {"config", "discovery"}, // the suite of the providers
}

// A ban is an import that some of us never have.
type ban struct {
	pkg     string            // and everything below it, or with a $ it alone
	in      func(string) bool // the folders it holds for
	tests   bool              // whether it holds for tests too
	because string
}

var never = []ban{
	{"log$", anywhere, true, "log/slog is the one"},
	{module + "/bench", func(dir string) bool { return dir != "." && !below("bench")(dir) }, true, "bench sees weir from outside, and only weir bench sees bench"},
	{"github.com/valyala/fasthttp", among("proxy", "proxy/table", "proxy/message"), true, "the request path moves bytes itself"},
	{"github.com/valyala/fasthttp", among("proxy/http1"), false, "only its tests may: it is the oracle of the scanner"},
	{"net/http", requestPath, false, "under proxy only proxy/http2 may"},
	{"github.com/VictoriaMetrics/metrics", below("shaping", "coldstart"), false, "they expose numbers, others publish them"},
	{"github.com/hashicorp/consul/api", notBelow("discovery/consul"), false, "one package talks to Consul"},
	{"github.com/moby/moby", notBelow("coldstart/docker"), false, "one package talks to Docker"},
	{"go.opentelemetry.io", notBelow("internal/tracing", "internal/testkit"), false, "one package makes spans, when calls are over"},
	{module + "/internal/testkit", notBelow("bench", "internal/testkit"), false, "it is for tests"},
}

func (b ban) names(imported string) bool {
	if alone, ok := strings.CutSuffix(b.pkg, "$"); ok {
		return imported == alone
	}
	return imported == b.pkg || strings.HasPrefix(imported, b.pkg+"/")
}

// judge tells what is wrong with an import, or nothing.
func judge(dir, imported string, test bool) string {
	for _, b := range never {
		if b.in(dir) && (b.tests || !test) && b.names(imported) {
			return "never: " + b.because
		}
	}
	to, ours := strings.CutPrefix(imported, module+"/")
	switch {
	case imported == module:
		return "nothing imports main"
	case !ours || test || dir == ".":
		return ""
	case !slices.Contains(mayImport[dir], to):
		return "a new edge is a decision: add it to mayImport with a reason"
	}
	return ""
}

func TestImports(t *testing.T) {
	for _, f := range goFiles(t) {
		dir := path.Dir(f.path)
		if _, known := mayImport[dir]; !known && dir != "." {
			t.Errorf("%s: package %s is not in mayImport: say there what it may import", f.path, dir)
			continue
		}
		for _, spec := range f.ast.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			if wrong := judge(dir, imported, f.test()); wrong != "" {
				t.Errorf("%s imports %s: %s", f.set.Position(spec.Pos()), imported, wrong)
			}
		}
	}
}

func TestMayImportIsALadder(t *testing.T) {
	var climb func(dir string, way []string)
	climb = func(dir string, way []string) {
		if slices.Contains(way, dir) {
			t.Fatalf("mayImport goes in a circle: %v", append(way, dir))
		}
		edges, known := mayImport[dir]
		if !known {
			t.Fatalf("mayImport[%q] names %q, which is not in it", way[len(way)-1], dir)
		}
		for _, to := range edges {
			climb(to, append(slices.Clone(way), dir))
		}
	}
	for dir := range mayImport {
		climb(dir, nil)
	}
}

func TestJudge(t *testing.T) {
	const may, mayNot = true, false
	for _, c := range []struct {
		dir, imported string
		test          bool
		want          bool
	}{
		{"proxy", module + "/proxy/table", false, may},
		{"proxy", module + "/discovery", false, mayNot},
		{"proxy", module + "/discovery", true, may},
		{"shaping", module + "/coldstart", false, mayNot},
		{"coldstart/process", module + "/proxy", false, mayNot},
		{"config", module, true, mayNot},
		{".", module + "/proxy/http1", false, may},
		{".", module + "/bench", false, may},
		{"internal/admin", module + "/bench", true, mayNot},
		{"proxy", "github.com/valyala/fasthttp", true, mayNot},
		{"proxy/table", "github.com/valyala/fasthttp", false, mayNot},
		{"proxy/message", "github.com/valyala/fasthttp/fasthttputil", false, mayNot},
		{"proxy/http1", "github.com/valyala/fasthttp", false, mayNot},
		{"proxy/http1", "github.com/valyala/fasthttp", true, may},
		{"internal/admin", "github.com/valyala/fasthttp", false, may},
		{"proxy/http1", "net/http", false, mayNot},
		{"proxy/http1", "net/http/httptest", true, may},
		{"proxy/http2", "net/http", false, may},
		{"proxy/http1", "net/httptrace", false, may},
		{"shaping", "github.com/VictoriaMetrics/metrics", false, mayNot},
		{"coldstart/process", "github.com/VictoriaMetrics/metrics", false, mayNot},
		{"proxy/table", "github.com/VictoriaMetrics/metrics", false, may},
		{"coldstart", "github.com/hashicorp/consul/api", false, mayNot},
		{"discovery/consul", "github.com/hashicorp/consul/api", false, may},
		{"coldstart", "github.com/moby/moby/client", false, mayNot},
		{"coldstart/docker", "github.com/moby/moby/client", false, may},
		{"config", "log", false, mayNot},
		{"config", "log/slog", false, may},
		{"proxy", module + "/internal/testkit", false, mayNot},
		{"proxy", module + "/internal/testkit", true, may},
	} {
		if wrong := judge(c.dir, c.imported, c.test); (wrong == "") != c.want {
			t.Errorf("%s importing %s (test: %v): %q", c.dir, c.imported, c.test, wrong)
		}
	}
}

func anywhere(string) bool { return true }

func among(dirs ...string) func(string) bool {
	return func(dir string) bool { return slices.Contains(dirs, dir) }
}

func below(tops ...string) func(string) bool {
	return func(dir string) bool {
		return slices.ContainsFunc(tops, func(top string) bool {
			return dir == top || strings.HasPrefix(dir, top+"/")
		})
	}
}

func notBelow(tops ...string) func(string) bool {
	in := below(tops...)
	return func(dir string) bool { return !in(dir) }
}

func requestPath(dir string) bool {
	return below("proxy")(dir) && !below("proxy/http2")(dir)
}

// A goFile is one Go file of this module, whatever its build constraints.
type goFile struct {
	path string // with slashes, from the root
	set  *token.FileSet
	ast  *ast.File
}

func (f goFile) test() bool { return strings.HasSuffix(f.path, "_test.go") }

// goFiles parses the imports and the package comment of every file of ours.
func goFiles(t *testing.T) []goFile {
	t.Helper()
	var files []goFile
	set := token.NewFileSet()
	err := walk(func(name string, _ fs.DirEntry) error {
		if path.Ext(name) != ".go" {
			return nil
		}
		f, err := parser.ParseFile(set, name, nil, parser.ImportsOnly|parser.ParseComments)
		if err != nil {
			return err
		}
		files = append(files, goFile{name, set, f})
		return nil
	}, "tools", "testdata")
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// walk visits the files of the repository, leaving out what is built, what is
// git's, and the folders of these names.
func walk(visit func(name string, d fs.DirEntry) error, without ...string) error {
	without = append(without, ".git", "bin", "dist")
	return filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && slices.Contains(without, d.Name()):
			return filepath.SkipDir
		case !d.Type().IsRegular() || d.Name() == ".git": // a file in a work tree
			return nil
		}
		return visit(filepath.ToSlash(name), d)
	})
}
