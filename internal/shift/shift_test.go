package shift

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-gateway/weir/config"
	"github.com/weir-gateway/weir/config/layers"
)

// A desk has overrides without files.
type desk struct {
	t   *testing.T
	log bytes.Buffer

	mu            sync.Mutex
	list          []layers.Override
	version       int
	refuses       error
	stale         int // changes by somebody else before the next one of ours
	calls, failed int64
}

func (d *desk) Tag() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return fmt.Sprint(d.version)
}

func (d *desk) Overrides() ([]layers.Override, string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.list), ""
}

func (d *desk) PutAll(values map[string]json.RawMessage, w layers.Wish, tag string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.stale > 0 {
		d.stale--
		d.version++
	}
	if tag != fmt.Sprint(d.version) {
		return &layers.Refusal{Kind: layers.Stale}
	}
	if d.refuses != nil {
		return d.refuses
	}
	for path, value := range values {
		d.list = slices.DeleteFunc(d.list, func(o layers.Override) bool { return o.Path == path })
		if value != nil {
			d.list = append(d.list, layers.Override{Path: path, Value: value, Author: w.Author, Reason: w.Reason})
		}
	}
	d.version++
	return nil
}

// is what is overridden.
func (d *desk) is() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	var words []string
	for _, o := range d.list {
		words = append(words, o.Path+"="+string(o.Value))
	}
	slices.Sort(words)
	return strings.Join(words, " ")
}

const doc = `listeners: [{ address: ":1" }]
regions: { a: { weight: 80 }, b: { weight: 20 } }
functions: { f: { endpoints: ["127.0.0.1:1"] } }
`

// on runs a story with a Manager that has a clock of its own.
func on(t *testing.T, story func(t *testing.T, d *desk, m *Manager)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		cfg, err := config.Parse("weir.yaml", []byte(doc))
		if err != nil {
			t.Fatal(err)
		}
		d := &desk{t: t}
		m := New(Parts{Layers: d, Config: func() *config.Config { return cfg }, Log: slog.New(slog.NewTextHandler(&d.log, nil)),
			Tally: func(string) (int64, int64) { d.mu.Lock(); defer d.mu.Unlock(); return d.calls, d.failed }})
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- m.Run(ctx) }()
		synctest.Wait()
		story(t, d, m)
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

func after(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func (m *Manager) order(t *testing.T, o Order) Status {
	t.Helper()
	s, err := m.Start(o)
	if err != nil {
		t.Fatal(err)
	}
	synctest.Wait()
	return s
}

func (m *Manager) stands(t *testing.T, id, state string, percent float64) Status {
	t.Helper()
	s, err := m.Get(id)
	if err != nil || s.State != state || math.Abs(s.Percent-percent) > 0.01 {
		t.Errorf("shift %s is %s at %.2f %% (%s, %v), want %s at %.2f %%", id, s.State, s.Percent, s.Cause, err, state, percent)
	}
	return s
}

var swap = map[string]float64{"a": 20, "b": 80}

func ten(o Order) Order {
	o.To, o.Over = swap, Duration(10*time.Minute)
	return o
}

func TestShift(t *testing.T) {
	on(t, func(t *testing.T, d *desk, m *Manager) {
		s := m.order(t, ten(Order{Author: "alice", Reason: "the new hall"}))
		m.stands(t, s.ID, Running, 0)
		if got := d.is(); got != "" {
			t.Errorf("at once %s", got)
		}
		after(5 * time.Minute)
		m.stands(t, s.ID, Running, 50)
		if got := d.is(); got != "regions/a/weight=50 regions/b/weight=50" {
			t.Errorf("half way %s", got)
		}
		if list, _ := d.Overrides(); list[0].Author != "alice" || !strings.Contains(list[0].Reason, "50 % of shift 1: the new hall") {
			t.Errorf("%+v", list[0])
		}
		after(5 * time.Minute)
		m.stands(t, s.ID, Done, 100)
		if got := d.is(); got != "regions/a/weight=20 regions/b/weight=80" {
			t.Errorf("at the end %s", got)
		}
	})
}

// At no moment is a weight off the way, and none goes back.
func TestShiftIsEven(t *testing.T) {
	on(t, func(t *testing.T, d *desk, m *Manager) {
		s := m.order(t, ten(Order{}))
		last := 80.0
		for at := time.Duration(0); at <= 10*time.Minute; at += 5 * time.Second {
			got, _ := m.Get(s.ID)
			want := 80 - 60*float64(at)/float64(10*time.Minute)
			if a := got.Now["a"]; a > last || a < want-1e-6 || a > want+1.1 || math.Abs(a+got.Now["b"]-100) > 1e-6 {
				t.Errorf("at %s a has %v, want %v; b has %v", at, a, want, got.Now["b"])
			} else {
				last = a
			}
			after(5 * time.Second)
		}
	})
}

func TestShiftOfAFunctionLater(t *testing.T) {
	on(t, func(t *testing.T, d *desk, m *Manager) {
		_ = d.PutAll(map[string]json.RawMessage{"functions/f/regions": json.RawMessage(`{"a":{"priority":1}}`)}, layers.Wish{}, d.Tag())
		s := m.order(t, Order{Function: "f", To: map[string]float64{"a": 0}, At: time.Now().Add(time.Hour)})
		m.stands(t, s.ID, Scheduled, 0)
		if _, err := m.Start(Order{Function: "f", To: swap}); !is(err, Conflict) {
			t.Errorf("a second one of the same function: %v", err)
		}
		m.order(t, Order{To: map[string]float64{"a": 80}}) // of all others goes
		after(time.Hour)
		m.stands(t, s.ID, Done, 100)
		if got, want := d.is(), `functions/f/regions={"a":{"priority":1,"weight":0}} regions/a/weight=80`; got != want {
			t.Errorf("%s, want %s", got, want)
		}
		s = m.order(t, Order{Function: "f", To: swap, Over: Duration(time.Hour)})
		after(30 * time.Minute)
		if _, err := m.Steer(s.ID, "rollback", "bob", ""); err != nil {
			t.Error(err)
		}
		after(0)
		m.stands(t, s.ID, RolledBack, 0)
		if got, want := d.is(), `functions/f/regions={"a":{"priority":1,"weight":0}} regions/a/weight=80`; got != want {
			t.Errorf("rolled back %s, want %s", got, want)
		}
	})
}

func TestErrorsPauseAShift(t *testing.T) {
	on(t, func(t *testing.T, d *desk, m *Manager) {
		s := m.order(t, ten(Order{MaxErrorPercent: 1}))
		tally := func(calls, failed int64) {
			d.mu.Lock()
			defer d.mu.Unlock()
			d.calls, d.failed = d.calls+calls, d.failed+failed
		}
		tally(1000, 10) // 1 %: as many as may
		after(10 * time.Second)
		tally(19, 19) // too few to say
		after(10 * time.Second)
		m.stands(t, s.ID, Running, 2*100./60)
		tally(1, 0)
		after(10 * time.Second)
		got := m.stands(t, s.ID, Paused, 2*100./60)
		if got.Cause != "95.00 % of 20 calls failed, at most 1 % may" {
			t.Error(got.Cause)
		}
		after(time.Hour)
		m.stands(t, s.ID, Paused, 2*100./60)
		if _, err := m.Steer(s.ID, "resume", "bob", "it was the disk"); err != nil {
			t.Error(err)
		}
		after(10 * time.Minute)
		m.stands(t, s.ID, Done, 100)
	})
}

// Errors after the last step still count.
func TestErrorsTakeAShiftBack(t *testing.T) {
	on(t, func(t *testing.T, d *desk, m *Manager) {
		s := m.order(t, ten(Order{MaxErrorPercent: 5, OnErrors: Rollback}))
		after(10*time.Minute + time.Second)
		m.stands(t, s.ID, Running, 100)
		d.mu.Lock()
		d.calls, d.failed = 100, 6
		d.mu.Unlock()
		after(10 * time.Second)
		got := m.stands(t, s.ID, RolledBack, 0)
		if d.is() != "" || got.Cause == "" || got.Now["a"] != 80 {
			t.Errorf("%s, %+v", d.is(), got)
		}
	})
}

func TestSomebodyElseSteers(t *testing.T) {
	on(t, func(t *testing.T, d *desk, m *Manager) {
		s := m.order(t, ten(Order{}))
		after(time.Minute)
		d.mu.Lock()
		d.stale = 1 // somebody changes something else in between: it is tried again
		d.mu.Unlock()
		after(time.Minute)
		m.stands(t, s.ID, Running, 20)
		_ = d.PutAll(map[string]json.RawMessage{"regions/a/weight": json.RawMessage("7")}, layers.Wish{}, d.Tag())
		after(time.Minute)
		m.stands(t, s.ID, Overtaken, 20)
		if got := d.is(); !strings.Contains(got, "regions/a/weight=7") {
			t.Error(got)
		}
		if _, err := m.Steer(s.ID, "rollback", "", ""); !is(err, Conflict) {
			t.Errorf("of one that is over: %v", err)
		}
	})
}

// A step that cannot be made pauses it; the way back too.
func TestAStepIsRefused(t *testing.T) {
	on(t, func(t *testing.T, d *desk, m *Manager) {
		refuse := func(err error) { d.mu.Lock(); d.refuses = err; d.mu.Unlock() }
		s := m.order(t, ten(Order{}))
		after(time.Minute)
		refuse(&layers.Refusal{Kind: layers.NotKept, Detail: "no space left on device"})
		after(time.Minute)
		if got := m.stands(t, s.ID, Paused, 10); got.Cause != "no space left on device" {
			t.Error(got.Cause)
		}
		_, _ = m.Steer(s.ID, "rollback", "", "")
		after(0)
		m.stands(t, s.ID, Paused, 10)
		refuse(nil)
		_, _ = m.Steer(s.ID, "rollback", "", "")
		after(0)
		m.stands(t, s.ID, RolledBack, 0)
		if d.is() != "" {
			t.Error(d.is())
		}
	})
}

// One whose last step was refused waits for somebody, and can be told what to do.
func TestTheLastStepIsRefused(t *testing.T) {
	for _, what := range []string{"resume", "rollback"} {
		on(t, func(t *testing.T, d *desk, m *Manager) {
			d.refuses = &layers.Refusal{Kind: layers.Invalid, Detail: "no"}
			s := m.order(t, Order{To: swap})
			m.stands(t, s.ID, Paused, 0)
			d.mu.Lock()
			d.refuses = nil
			d.mu.Unlock()
			if _, err := m.Steer(s.ID, what, "", ""); err != nil {
				t.Fatal(err)
			}
			after(time.Minute)
			if what == "resume" {
				m.stands(t, s.ID, Done, 100)
			} else {
				m.stands(t, s.ID, RolledBack, 0)
			}
		})
	}
}

func TestCancelAndEnd(t *testing.T) {
	on(t, func(t *testing.T, d *desk, m *Manager) {
		s := m.order(t, ten(Order{At: time.Now().Add(time.Minute)}))
		for _, what := range []string{"pause", "resume"} {
			if _, err := m.Steer(s.ID, what, "", ""); !is(err, Conflict) {
				t.Errorf("%s of one that has not begun: %v", what, err)
			}
		}
		if _, err := m.Steer(s.ID, "cancel", "bob", "not today"); err != nil {
			t.Error(err)
		}
		after(time.Hour)
		if got := m.stands(t, s.ID, Canceled, 0); d.is() != "" || got.Cause != "cancel by bob: not today" {
			t.Errorf("%s, %s", d.is(), got.Cause)
		}
		m.order(t, ten(Order{}))
		after(time.Minute) // weir ends in the middle
		if list := m.List(); len(list) != 2 || list[0].State != Running {
			t.Errorf("%+v", list)
		}
	})
}

func is(err error, kind string) bool {
	var r *Refusal
	return errors.As(err, &r) && r.Kind == kind
}

func TestOrdersThatAreRefused(t *testing.T) {
	on(t, func(t *testing.T, d *desk, m *Manager) {
		hour := Duration(time.Hour)
		for _, c := range []struct {
			o    Order
			kind string
		}{
			{Order{}, Invalid},
			{Order{To: map[string]float64{"c": 1}}, Invalid},
			{Order{To: swap, Function: "g"}, NotFound},
			{Order{To: map[string]float64{"a": -1}}, Invalid},
			{Order{To: map[string]float64{"a": math.NaN()}}, Invalid},
			{Order{To: map[string]float64{"a": math.Inf(1)}}, Invalid},
			{Order{To: swap, Over: -1}, Invalid},
			{Order{To: swap, Over: 24 * 365 * hour}, Invalid},
			{Order{To: swap, At: time.Now().Add(2 * 365 * 24 * time.Hour)}, Invalid},
			{Order{To: swap, MaxErrorPercent: 101}, Invalid},
			{Order{To: swap, MaxErrorPercent: math.NaN()}, Invalid},
			{Order{To: swap, OnErrors: "panic", MaxErrorPercent: 1}, Invalid},
			{Order{To: swap, OnErrors: Rollback}, Invalid},
		} {
			if _, err := m.Start(c.o); !is(err, c.kind) {
				t.Errorf("%+v: %v, want %s", c.o, err, c.kind)
			}
		}
		if _, err := m.Steer("7", "cancel", "", ""); !is(err, NotFound) {
			t.Error(err)
		}
		s := m.order(t, ten(Order{}))
		if _, err := m.Steer(s.ID, "halt", "", ""); !is(err, Invalid) {
			t.Error(err)
		}
		for range most + 5 { // the oldest that is over goes
			_, _ = m.Steer(fmt.Sprint(m.last), "cancel", "", "")
			m.order(t, Order{Function: "f", To: maps.Clone(swap)})
			after(0)
		}
		if n := len(m.List()); n != most {
			t.Errorf("%d are remembered", n)
		}
	})
	if _, err := New(Parts{Config: func() *config.Config { return &config.Config{Regions: map[string]config.Region{"a": {}}} }}).Start(Order{To: map[string]float64{"a": 1}}); !is(err, Conflict) {
		t.Errorf("before it runs: %v", err)
	}
}
