package layers

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/weir-gateway/weir/config"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A desk is a Stack over files in a folder, and what it has told.
type desk struct {
	*Stack
	t   *testing.T
	dir string

	mu      sync.Mutex
	applied []*config.Config
	unfit   error // why nothing can be taken over
	told    []error
	logged  strings.Builder
}

func (d *desk) Write(p []byte) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.logged.Write(p)
}

const document = `listeners: [{ address: ":8080" }]
functions:
  hello: { endpoints: ["127.0.0.1:9001"], timeouts: { request: 1s } }
  shop: { cold_start: { scaler: process }, process: { command: [/bin/shop], env: { TOKEN: hunter2 } } }
routes: [{ path_prefix: /, function: hello }]
`

// with is the document with another timeout.
func with(timeout string) string { return strings.Replace(document, "1s", timeout, 1) }

func sit(t *testing.T, text string) *desk {
	t.Helper()
	d := &desk{t: t, dir: t.TempDir()}
	d.put("weir.yaml", text)
	d.start()
	return d
}

func (d *desk) start() {
	d.t.Helper()
	var err error
	d.Stack, err = New(Parts{
		Path: filepath.Join(d.dir, "weir.yaml"),
		Log:  slog.New(slog.NewJSONHandler(io.Writer(d), nil)),
		Prepare: func(cfg *config.Config) (func(), error) {
			d.mu.Lock()
			defer d.mu.Unlock()
			return func() {
				d.mu.Lock()
				defer d.mu.Unlock()
				d.applied = append(d.applied, cfg)
			}, d.unfit
		},
		Tell: func(err error) {
			d.mu.Lock()
			defer d.mu.Unlock()
			d.told = append(d.told, err)
		},
	})
	if err != nil {
		d.t.Fatal(err)
	}
}

// put replaces a file as a careful editor does.
func (d *desk) put(name, text string) {
	d.t.Helper()
	name = filepath.Join(d.dir, name)
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		d.t.Fatal(err)
	}
	if err := os.WriteFile(name+"~", []byte(text), 0o600); err != nil {
		d.t.Fatal(err)
	}
	if err := os.Rename(name+"~", name); err != nil {
		d.t.Fatal(err)
	}
}

func (d *desk) timeout() string { return d.Config().Functions["hello"].Timeouts.Request.String() }

// is checks the timeout that stands and how many configurations have.
func (d *desk) is(timeout string, entries int) {
	d.t.Helper()
	if got := d.timeout(); got != timeout {
		d.t.Errorf("the timeout is %s, want %s", got, timeout)
	}
	if history := d.History(); len(history) != entries || !history[0].Stands {
		d.t.Errorf("%d entries, want %d: %+v", len(history), entries, history)
	}
}

func (d *desk) override(path, value string) error {
	_, err := d.Put(path, Wish{Value: json.RawMessage(value), Author: "alice"}, "")
	return err
}

func refusedAs(t *testing.T, err error, kind, words string) {
	t.Helper()
	var refusal *Refusal
	if !errors.As(err, &refusal) || refusal.Kind != kind || !strings.Contains(refusal.Detail, words) {
		t.Errorf("%v, want a refusal of kind %s: %s", err, kind, words)
	}
}

func TestReload(t *testing.T) {
	d := sit(t, document)
	d.is("1s", 1)

	d.put("weir.yaml", with("2s"))
	if err := d.Reload("SIGHUP"); err != nil {
		t.Fatal(err)
	}
	d.is("2s", 2)

	d.put("weir.yaml", with("2"))
	var mistakes config.Errors
	if err := d.Reload("SIGHUP"); !errors.As(err, &mistakes) || len(mistakes) != 1 {
		t.Errorf("a file with a mistake: %v", err)
	}
	d.is("2s", 2)

	if err := os.Remove(filepath.Join(d.dir, "weir.yaml")); err != nil {
		t.Fatal(err)
	}
	if err := d.Reload("SIGHUP"); err == nil {
		t.Error("a file that is gone is no mistake")
	}
	d.is("2s", 2)

	d.put("weir.yaml", with("2s"))
	if err := d.Reload("SIGHUP"); err != nil {
		t.Fatal(err)
	}
	d.is("2s", 2) // it says what stands
	if len(d.told) != 4 || d.told[0] != nil || d.told[1] == nil || d.told[2] == nil || d.told[3] != nil || len(d.applied) != 1 {
		t.Errorf("told %v, %d applied", d.told, len(d.applied))
	}
}

// What weir cannot take over while it runs changes nothing, wherever it comes
// from, and is tried again.
func TestUnfit(t *testing.T) {
	d := sit(t, "admin: { overrides_file: kept.json }\n"+document)
	if err := d.override("functions/hello/timeouts/request", `"2s"`); err != nil {
		t.Fatal(err)
	}
	kept := func() string {
		content, err := os.ReadFile(filepath.Join(d.dir, "kept.json"))
		if err != nil {
			t.Fatal(err)
		}
		return string(content)
	}
	before := kept()
	d.unfit = errors.New("not while weir runs")
	refusedAs(t, d.override("functions/hello/timeouts/request", `"3s"`), Unusable, "not while weir runs")
	if _, err := d.Rollback(1, "bob", ""); err == nil || !strings.Contains(err.Error(), "not while weir runs") {
		t.Errorf("rolled back: %v", err)
	}
	d.put("weir.yaml", "admin: { overrides_file: kept.json }\n"+strings.Replace(document, "routes: [", "routes: [{ path_prefix: /x, function: hello }, ", 1))
	if err := d.Reload("SIGHUP"); err != d.unfit {
		t.Errorf("told %v", err)
	}
	d.changedOnDisk() // of which nobody is told again
	d.is("2s", 2)
	if len(d.told) != 1 || kept() != before || len(d.Config().Routes) != 1 || len(d.applied) != 1 {
		t.Errorf("told %v, kept %s, %d routes, %d applied", d.told, kept(), len(d.Config().Routes), len(d.applied))
	}
	d.unfit = nil
	if !d.bad() {
		t.Error("it is not tried again")
	}
	d.changedOnDisk()
	d.is("2s", 3)
	if len(d.told) != 2 || d.told[1] != nil || len(d.Config().Routes) != 2 {
		t.Errorf("told %v, %d routes", d.told, len(d.Config().Routes))
	}
}

func TestOverrides(t *testing.T) {
	d := sit(t, document)
	if err := d.override("functions/hello/timeouts/request", `"3s"`); err != nil {
		t.Fatal(err)
	}
	d.is("3s", 2)
	if e := d.History()[0]; e.Source != "override" || e.Author != "alice" || e.Reason != "functions/hello/timeouts/request is overridden" {
		t.Errorf("%+v", e)
	}
	d.put("weir.yaml", with("4s"))
	_ = d.Reload("SIGHUP")
	d.is("3s", 3) // the file is another, and still under it

	_, tag := d.Stack.Overrides()
	refusedAs(t, d.Delete("functions/hello/timeouts/request", "bob", "", "0123"), Stale, "changed since")
	refusedAs(t, d.Delete("functions/hello", "bob", "", ""), NotFound, "Nothing overrides")
	if err := d.Delete("functions/hello/timeouts/request", "bob", "over", tag); err != nil {
		t.Fatal(err)
	}
	d.is("4s", 4)
}

// What there could be no configuration with is refused, with its place, before
// anything has changed.
func TestOverridesAreStrict(t *testing.T) {
	d := sit(t, document)
	for _, c := range []struct{ path, value, words string }{
		{"functions/hello/timeouts/request", `"3"`, "without a unit; say 3s or 3ms"},
		{"functions/hello/timeouts/requets", `"3s"`, `did you mean "request"?`},
		{"functions/helo/timeouts/request", `"3s"`, `did you mean "hello"?`},
		{"functions/hello/timeouts", `{"request":"1s","request":"2s"}`, "duplicate key"},
		{"functions/shop/process/command", `["/bin/evil"]`, "only be said in a file"},
		{"functions/shop/cold_start/min_scale", `5`, "is over max_scale 1"},
		{"listeners", `[]`, "cannot be said here"},
		{"admin/address", `":9901"`, "cannot be said here"},
		{"functions/hello/timeouts/request", ``, "no value"},
		{"functions/hello/timeouts/request", `{`, "no value"},
		{"functions//x", `1`, "not the path to a value"},
		{"../x", `1`, "cannot be said here"},
		{"", `1`, "not the path to a value"},
		{"functions/hello", `"${HOME}"`, "must be a mapping"},
		{"functions/hello/priority", `"${HOME}"`, "which only files may have"},
	} {
		refusedAs(t, d.override(c.path, c.value), Invalid, c.words)
	}
	_, err := d.Put("functions/hello/timeouts/request", Wish{Value: json.RawMessage(`"3s"`), Reason: strings.Repeat("x", 501)}, "")
	refusedAs(t, err, Invalid, "500 bytes")
	d.is("1s", 1)

	// Nor may one take away what another stands on.
	if err := d.override("functions/new", `{"endpoints":["127.0.0.1:9009"]}`); err != nil {
		t.Fatal(err)
	}
	if err := d.override("routes/new", `{"path_prefix":"/new","function":"new"}`); err != nil {
		t.Fatal(err)
	}
	refusedAs(t, d.Delete("functions/new", "", "", ""), Invalid, "With this change override routes.new could not stand")
}

// An override ends in time, and what it hid is there again.
func TestOverridesExpire(t *testing.T) {
	d := sit(t, document)
	run(t, d)
	if _, err := d.Put("functions/hello/timeouts/request", Wish{Value: json.RawMessage(`"3s"`), TTL: 300 * time.Millisecond}, ""); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Put("functions/hello/timeouts/idle", Wish{Value: json.RawMessage(`"3s"`), TTL: time.Hour}, ""); err != nil {
		t.Fatal(err)
	}
	if d.timeout() != "3s" {
		t.Fatal(d.timeout())
	}
	eventually(t, "the override ends", func() bool { return d.timeout() == "1s" })
	list, _ := d.Stack.Overrides()
	if e := d.History()[0]; e.Source != "expiry" || len(list) != 1 {
		t.Errorf("%+v, %v", e, list)
	}
	if next := d.expire(time.Now().Add(2 * time.Hour)); !next.IsZero() || d.Config().Functions["hello"].Timeouts.Idle != time.Minute {
		t.Errorf("after two hours: next %v, %v", next, d.Config().Functions["hello"].Timeouts)
	}
}

// Run is woken for what it has to look at only: overrides that end, and other files.
func TestOverridesWakeRunForEnds(t *testing.T) {
	d := sit(t, document)
	for i, c := range []struct {
		value string
		ttl   time.Duration
		rings bool
	}{{"3s", 0, false}, {"4s", time.Hour, true}, {"5s", 0, true}, {"6s", 0, false}} { // the third has no end any more
		if _, err := d.Put("functions/hello/timeouts/request", Wish{Value: json.RawMessage(`"` + c.value + `"`), TTL: c.ttl}, ""); err != nil {
			t.Fatal(err)
		}
		rang := false
		select {
		case <-d.wake:
			rang = true
		default:
		}
		if rang != c.rings {
			t.Errorf("change %d: rang: %v", i, rang)
		}
	}
}

func TestWaitFor(t *testing.T) {
	now := time.Now()
	for moment, want := range map[time.Time]time.Duration{
		{}: lookEvery, now.Add(time.Second): time.Second, now.Add(time.Hour): lookEvery, now.Add(-time.Hour): 0,
	} {
		if got := waitFor(moment, now); got.Round(time.Millisecond) != want {
			t.Errorf("%v: %v, want %v", moment, got, want)
		}
	}
}

// Overrides outlive weir if they may, and a kept file that is broken keeps nobody
// from starting.
func TestOverridesAreKept(t *testing.T) {
	d := sit(t, "admin: { overrides_file: kept.json }\n"+document)
	if err := d.override("functions/hello/timeouts/request", `"3s"`); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Put("functions/hello/timeouts/idle", Wish{Value: json.RawMessage(`"3s"`), TTL: time.Millisecond}, ""); err != nil {
		t.Fatal(err)
	}
	kept := filepath.Join(d.dir, "kept.json")
	if info, err := os.Stat(kept); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	_, tag := d.Stack.Overrides()
	time.Sleep(2 * time.Millisecond)
	d.start()
	d.is("3s", 1)
	if list, again := d.Stack.Overrides(); len(list) != 1 || list[0].Author != "alice" || again == tag {
		t.Errorf("%+v", list)
	}

	d.put("kept.json", "{")
	d.start()
	d.is("1s", 1)
	if !strings.Contains(d.logged.String(), "kept.json is not what weir wrote") {
		t.Error(d.logged.String())
	}

	if err := os.Chmod(d.dir, 0o500); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = os.Chmod(d.dir, 0o700) }()
	if os.Geteuid() != 0 { // root writes everywhere
		refusedAs(t, d.override("functions/hello/timeouts/request", `"3s"`), NotKept, "nothing was changed")
		d.is("1s", 1)
	}
}

// The file in which overrides are kept can be another while weir runs: they move,
// unless something stands in their way, and then nothing changes.
func TestOverridesMove(t *testing.T) {
	in := func(file string) string { return "admin: { overrides_file: " + file + " }\n" + document }
	d := sit(t, document)
	if err := d.override("functions/hello/timeouts/request", `"3s"`); err != nil {
		t.Fatal(err)
	}
	files := func() string {
		names, err := filepath.Glob(filepath.Join(d.dir, "*.json"))
		if err != nil {
			t.Fatal(err)
		}
		for i := range names {
			names[i] = filepath.Base(names[i])
		}
		return strings.Join(names, " ")
	}
	move := func(text, refused, want string) {
		t.Helper()
		d.put("weir.yaml", text)
		err := d.Reload("a test")
		if refused == "" && err != nil || refused != "" && (err == nil || !strings.Contains(err.Error(), refused)) {
			t.Errorf("%v, want %q", err, refused)
		}
		if got := files(); got != want {
			t.Errorf("there are %s, want %s", got, want)
		}
		if d.timeout() != "3s" {
			t.Errorf("the timeout is %s", d.timeout())
		}
	}
	move(in("one.json"), "", "one.json")
	move(in("two.json"), "", "two.json")
	d.start()
	move(in("two.json"), "", "two.json") // the same, after a restart with it
	d.put("other.json", "[]")
	move(in("other.json"), "other.json is there already", "other.json two.json")
	move(in("no/folder.json"), "admin.overrides_file: the overrides cannot be kept there", "other.json two.json")
	d.unfit = errors.New("a listener has no address")
	move(in("three.json"), "a listener has no address", "other.json two.json")
	d.unfit = nil
	move(in("three.json"), "", "other.json three.json")
	move(document, "", "other.json") // they end with weir now
	d.put("weir.yaml", in("three.json"))
	d.start()
	d.is("1s", 1)
}

func (d *desk) keys(pairs ...string) {
	var fragments []config.Fragment
	for i := 0; i < len(pairs); i += 2 {
		fragments = append(fragments, config.Fragment{Layer: "consul", Name: "consul:weir/config/" + pairs[i], Path: strings.Split(pairs[i], "/"), Text: pairs[i+1]})
	}
	d.SetConsul(d.t.Context(), fragments)
}

func TestConsulUnderOverrides(t *testing.T) {
	d := sit(t, document)
	d.keys("functions/hello/timeouts/request", "2s", "functions/helo", "x: 1")
	d.is("2s", 2)
	if e := d.History()[0]; e.Source != "consul" || e.Refused != 1 || !strings.Contains(e.Reason, "functions/helo") {
		t.Errorf("%+v", e)
	}
	d.keys("functions/hello/timeouts/request", "2s", "functions/helo", "x: 1")
	d.is("2s", 2)
	if err := d.override("functions/hello/timeouts/request", `"3s"`); err != nil {
		t.Fatal(err)
	}
	d.keys("functions/hello/timeouts/request", "4s")
	d.is("3s", 4)
	if err := d.Delete("functions/hello/timeouts/request", "", "", ""); err != nil {
		t.Fatal(err)
	}
	d.is("4s", 5)
	d.keys()
	d.is("1s", 6)
	if e := d.History()[0]; e.Reason != "consul:weir/config/functions/hello/timeouts/request is gone" {
		t.Errorf("%+v", e)
	}
}

// A rollback holds until a layer says something new.
func TestRollback(t *testing.T) {
	d := sit(t, document)
	d.keys("functions/hello/timeouts/idle", "2s")
	d.put("weir.yaml", with("9s"))
	_ = d.Reload("SIGHUP")
	d.is("9s", 3)

	e, err := d.Rollback(-1, "alice", "9s is too long")
	if err != nil || e.Source != "rollback" || e.Author != "alice" || e.Reason != "back to 2: 9s is too long" {
		t.Errorf("%+v, %v", e, err)
	}
	d.is("1s", 4)
	d.changedOnDisk() // the bad file is touched
	d.is("1s", 4)
	d.keys("functions/hello/timeouts/idle", "3s") // another layer
	d.is("1s", 5)
	d.put("weir.yaml", with("5s"))
	d.changedOnDisk()
	d.is("5s", 6)

	if _, err := d.Rollback(4, "", ""); err != nil {
		t.Fatal(err)
	}
	d.is("1s", 7)
	_ = d.Reload("SIGHUP") // somebody asks for the file
	d.is("5s", 8)

	_, err = d.Rollback(99, "", "")
	refusedAs(t, err, NotFound, "the history goes from 1 to 8")
	for i := range 30 {
		if err := d.override("functions/hello/timeouts/request", fmt.Sprintf(`"%ds"`, 10+i)); err != nil {
			t.Fatal(err)
		}
	}
	d.is("39s", kept)
	if oldest := d.History()[kept-1].Version; oldest != 19 {
		t.Errorf("the oldest is %d", oldest)
	}
	_, err = d.Rollback(3, "", "")
	refusedAs(t, err, NotFound, "from 19 to 38")
}

// A difference is readable, and tells no secrets.
func TestDiff(t *testing.T) {
	d := sit(t, document)
	d.put("weir.yaml", strings.Replace(with("9s"), "hunter2", "hunter3", 1))
	_ = d.Reload("SIGHUP")
	diff, err := d.Diff(-1, 0)
	if err != nil || diff.From.Version != 1 || diff.To.Version != 2 {
		t.Fatalf("%+v, %v", diff, err)
	}
	for _, want := range []string{"--- 1\t", "+++ 2\t", "\n-      request: 1s\n+      request: 9s\n", "\n-        TOKEN: \"(hidden "} {
		if !strings.Contains(diff.Diff, want) {
			t.Errorf("no %q in\n%s", want, diff.Diff)
		}
	}
	if strings.Contains(diff.Diff, "hunter") {
		t.Errorf("a secret is told:\n%s", diff.Diff)
	}
	same, err := d.Diff(2, 2)
	if err != nil || same.Diff != "" {
		t.Errorf("%+v, %v", same, err)
	}
	_, err = d.Diff(1, 7)
	refusedAs(t, err, NotFound, "from 1 to 2")
}

// The values of overrides that may be secrets are kept, and not told.
func TestSecretsOfOverrides(t *testing.T) {
	d := sit(t, document+"scalers: { w: { type: webhook, url: \"http://127.0.0.1:1\" } }\n")
	if err := d.override("functions/a", `{"cold_start":{"scaler":"w"}}`); err != nil {
		t.Fatal(err)
	}
	if err := d.override("functions/a/webhook", `{"token":"hunter2"}`); err != nil {
		t.Fatal(err)
	}
	if err := d.override("functions/b", `{"cold_start":{"scaler":"w"},"webhook":{"token":"hunter2"},"priority":"high"}`); err != nil {
		t.Fatal(err)
	}
	list, _ := d.Stack.Overrides()
	told, _ := json.Marshal(list)
	if strings.Contains(string(told)+d.logged.String(), "hunter2") || !strings.Contains(string(told), `"priority":"high"`) {
		t.Errorf("%s\n%s", told, d.logged.String())
	}
	if d.Config().Functions["a"].Webhook["token"] != "hunter2" {
		t.Error("the value is lost")
	}
}
