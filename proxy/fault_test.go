package proxy

import (
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/weir-gateway/weir/coldstart"
	"github.com/weir-gateway/weir/config"
	"github.com/weir-gateway/weir/proxy/table"
	"github.com/weir-gateway/weir/shaping"
)

// exported are the errors that a call can meet, by package; a new one in
// shaping or coldstart that is not here fails TestEveryErrorHasAnAnswer.
var exported = map[string]error{
	"coldstart.ErrLineFull":    coldstart.ErrLineFull,
	"coldstart.ErrDisplaced":   coldstart.ErrDisplaced,
	"coldstart.ErrBeyondShare": coldstart.ErrBeyondShare,
	"coldstart.ErrPoolFull":    coldstart.ErrPoolFull,
	"coldstart.ErrBytesFull":   coldstart.ErrBytesFull,
	"coldstart.ErrShare":       coldstart.ErrShare,
	"coldstart.ErrNoStart":     &coldstart.NoStart{Reason: errors.New("x")},
	"coldstart.ErrMaxWait":     coldstart.ErrMaxWait,
	"coldstart.ErrGone":        coldstart.ErrGone,

	"coldstart.ErrAudienceFull": coldstart.ErrAudienceFull,
	// The reason of a NoStart, never an error of its own.
	"coldstart.ErrStartTimeout": &coldstart.NoStart{Reason: coldstart.ErrStartTimeout},
	"shaping.ErrShed":           shaping.ErrShed,
	"shaping.ErrCrowd":          shaping.ErrCrowd,
	"shaping.ErrOpen":           shaping.ErrOpen,
	"shaping.ErrLimited":        shaping.ErrLimited,
}

func TestEveryErrorHasAnAnswer(t *testing.T) {
	for _, pkg := range []string{"coldstart", "shaping"} {
		files, err := filepath.Glob("../" + pkg + "/*.go")
		if err != nil || len(files) == 0 {
			t.Fatal("no sources of ", pkg, err)
		}
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			for _, name := range errorsIn(t, file) {
				example, known := exported[pkg+"."+name]
				if !known {
					t.Errorf("%s.%s has no fault: add it to proxy/fault.go and here", pkg, name)
				} else if faultOf(fmt.Errorf("while testing: %w", example)) == &internal {
					t.Errorf("%s.%s is answered as a bug", pkg, name)
				}
			}
		}
	}
}

// errorsIn lists the exported Err… variables of a file.
func errorsIn(t *testing.T, file string) (names []string) {
	t.Helper()
	source, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	tree, err := parser.ParseFile(token.NewFileSet(), file, source, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, decl := range tree.Decls {
		group, ok := decl.(*ast.GenDecl)
		if !ok || group.Tok != token.VAR {
			continue
		}
		for _, spec := range group.Specs {
			for _, name := range spec.(*ast.ValueSpec).Names {
				if strings.HasPrefix(name.Name, "Err") {
					names = append(names, name.Name)
				}
			}
		}
	}
	return names
}

func TestProblems(t *testing.T) {
	fn := &table.Function{Function: config.Function{Name: "f"}, State: &table.State{}}
	tab := &table.Table{Config: &config.Config{Region: "here"}, Unrouted: &table.Function{}}
	for i := range faults {
		f := &faults[i]
		if f.status == 0 || f.status == 499 {
			continue
		}
		c := &Call{table: tab, fn: fn, fault: f, err: f.err}
		copy(c.id[:], "01234567-89ab-7def-8123-456789abcdef")
		retry := c.retryAfter()
		var got struct {
			Type, Title, Detail, Instance, Cause, Function, Region string
			Status                                                 int
			RequestID                                              string `json:"request_id"`
			RetryAfter                                             *int   `json:"retry_after"`
		}
		if err := json.Unmarshal(c.appendProblem(nil, retry), &got); err != nil {
			t.Fatalf("%s: %v", f.slug, err)
		}
		if got.Type != "urn:weir:problem:"+f.slug || got.Status != f.status || got.Title == "" || got.Detail == "" ||
			got.Cause != f.cause || got.Function != "f" || got.Region != "here" || got.Instance != string(c.id[:]) || got.RequestID != got.Instance {
			t.Errorf("%s: %+v", f.slug, got)
		}
		if f.wait != (got.RetryAfter != nil && *got.RetryAfter >= 1) {
			t.Errorf("%s: retry after %v", f.slug, got.RetryAfter)
		}
		if f.proxy == "" || f.cause == "" {
			t.Errorf("%s says nothing to machines", f.slug)
		}
	}
}

func TestWantsJSON(t *testing.T) {
	f := func(accept string, want bool) {
		t.Helper()
		if got := wantsJSON([]byte(accept)); got != want {
			t.Errorf("Accept: %s wants JSON: %v", accept, got)
		}
	}
	f("", true)
	f("*/*", true)
	f("application/json", true)
	f("text/html, application/problem+json;q=0.9", true)
	f("application/*", true)
	f("text/plain", false)
	f("text/html, image/png;q=0.8", false)
}

func TestRequestIDs(t *testing.T) {
	f := func(id string, want bool) {
		t.Helper()
		if validID([]byte(id)) != want {
			t.Errorf("%q: want %v", id, want)
		}
	}
	f("a-B.9_z", true)
	f("", false)
	f(strings.Repeat("a", 128), true)
	f(strings.Repeat("a", 129), false)
	f("a b", false)
	f("a\"b", false)
	f("ä", false)
}

func TestHops(t *testing.T) {
	f := func(via string, want int) {
		t.Helper()
		if got := countHops([]byte(via)); got != want {
			t.Errorf("%q: %d weirs, want %d", via, got, want)
		}
	}
	f("1.1 weir", 1)
	f("1.1 a, 1.1 weir, HTTP/2 weir, 1.1 weirdo", 2)
	f("weir", 0)
}

func TestFaultsAreTold(t *testing.T) {
	statuses, causes := map[string]int{}, map[string]string{}
	for _, f := range append(slices.Clone(faults), internal) {
		if f.status != 0 && f.status != 499 && titles[f.status] == "" {
			t.Errorf("%d has no title", f.status)
		}
		if f.status == 0 {
			continue
		}
		// One slug is one thing to a client: one status, and one advice on when
		// to come again.
		if before, known := statuses[f.slug]; known && before != f.status {
			t.Errorf("%s is %d and %d", f.slug, before, f.status)
		}
		statuses[f.slug] = f.status
		// One cause is one side's affair: DPE has the client's mistakes.
		class := fmt.Sprint(f.status/100, f.wait)
		if before, known := causes[f.cause]; known && before != class && f.cause != "DPE" {
			t.Errorf("cause %s is %s and %s", f.cause, before, class)
		}
		causes[f.cause] = class
		if (f.status == 503 || f.status == 429 || f.slug == "deadline_expired") != f.wait {
			t.Errorf("%s is %d, Retry-After: %v", f.slug, f.status, f.wait)
		}
	}
	if f := faultOf(errors.New("something new")); f.status != 500 || f.cause != "INT" {
		t.Errorf("an unknown error is answered with %+v", f)
	}
}

// What clients are told in reason, and operators in weir_hold_rejected_total.
func TestReasons(t *testing.T) {
	f := func(err error, reason, turnedAway string) {
		t.Helper()
		err = fmt.Errorf("while testing: %w", err)
		c := &Call{err: err}
		if got, away := reasonOf(err), c.TurnedAway(); got != reason || away != turnedAway {
			t.Errorf("%v: %q and %q, want %q and %q", err, got, away, reason, turnedAway)
		}
		c.held = 1
		if c.TurnedAway() != "" {
			t.Errorf("%v: it was held, and not let in", err)
		}
	}
	f(coldstart.ErrLineFull, "queue_full", "line_full")
	f(coldstart.ErrPoolFull, "queue_full", "pool_full")
	f(coldstart.ErrBytesFull, "queue_full", "bytes_full")
	f(coldstart.ErrShare, "shed", "share")
	f(&coldstart.NoStart{Reason: errors.New("exit 1")}, "start_failed", "no_start")
	f(&coldstart.NoStart{Reason: coldstart.ErrStartTimeout}, "start_timeout", "no_start")
	f(coldstart.ErrMaxWait, "hold_deadline", "")
	f(errDeadline, "hold_deadline", "")
	f(errTooLate, "deadline", "deadline")
	f(errExpired, "deadline", "")
	f(errDormant, "dormant", "")
	f(errWaiting, "starting", "")
	f(errNoRoute, "", "")
}
