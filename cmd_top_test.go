package main

import (
	"encoding/json"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weir-gateway/weir/internal/admin"
)

func TestTop(t *testing.T) {
	hello, _ := serveHello(t)
	file := filepath.Join(t.TempDir(), "weir.yaml")
	write(t, file, `listeners: [{ address: "127.0.0.1:0" }]
admin: { address: "127.0.0.1:0" }
functions: { busy: { endpoints: ["`+hello+`"] }, idle: { endpoints: ["`+hello+`"] } }
routes: [{ function: busy }]
`)
	w := startRun(t, file)
	calls := loadOn(w.url + "/")
	calls.more(t, 50)
	table := w.says("busy", "top", "--count", "2", "--interval", "300ms")
	if strings.Count(table, "CALLS/S") != 2 || strings.Contains(table, "\x1b") {
		t.Errorf("two tables, and no terminal:\n%q", table)
	}
	if table := w.says("busy", "top", "--count", "1", "--interval", "300ms", "--rows", "1"); strings.Contains(table, "idle") {
		t.Errorf("one row:\n%s", table)
	}
	var seen []busyFunction
	if err := json.Unmarshal([]byte(w.says("", "top", "--count", "1", "--interval", "300ms", "--json")), &seen); err != nil {
		t.Fatal(err)
	}
	if len(seen) != 2 || seen[0].Name != "busy" || seen[0].Rate <= 0 || seen[0].ErrorPercent != 0 || seen[1].Rate != 0 {
		t.Errorf("%+v", seen)
	}
	calls.end(t)
	for _, args := range [][]string{{"top", "--interval", "1ms"}, {"top", "--count", "-1"}, {"top", "f"}} {
		if _, _, code := w.weir(args...); code != 2 {
			t.Errorf("%v: exit code %d", args, code)
		}
	}
}

func TestBusyness(t *testing.T) {
	fn := func(name string, calls, failed int64) admin.Function {
		return admin.Function{Name: name, Calls: calls, Failed: failed}
	}
	for _, c := range []struct {
		was, is    admin.Function
		rate, fail float64
	}{
		{fn("f", 10, 1), fn("f", 30, 6), 10, 25},
		{fn("f", 10, 1), fn("f", 10, 1), 0, 0},
		{fn("", 0, 0), fn("new", 4, 4), 2, 100},
		{fn("f", 1000, 10), fn("f", 4, 1), 2, 25}, // weir was started anew
	} {
		if got := since(c.was, c.is, 2*time.Second); got.Rate != c.rate || got.ErrorPercent != c.fail {
			t.Errorf("%+v after %+v: %+v", c.is, c.was, got)
		}
	}
	list := []busyFunction{{Function: fn("b", 0, 0)}, {Function: fn("a", 0, 0)}, {Function: admin.Function{Name: "held", Held: 2}}, {Function: fn("c", 0, 0), Rate: 1}}
	slices.SortFunc(list, busiest)
	var order []string
	for _, f := range list {
		order = append(order, f.Name)
	}
	if got := strings.Join(order, " "); got != "c held a b" {
		t.Error(got)
	}
}
