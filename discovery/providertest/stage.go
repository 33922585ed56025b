package providertest

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/weir-gateway/weir/config"
	"github.com/weir-gateway/weir/discovery"
)

// A stage is a source and its provider, for one story.
type stage struct {
	Source
	*testing.T
	subject Subject
	log     *journal
}

// open prepares a stage. When the test ends, everything that was started on it
// has to be gone.
func open(t *testing.T, s Subject) *stage {
	t.Helper()
	if !s.Bubble { // a bubble counts its goroutines itself
		leaks := goleak.IgnoreCurrent()
		t.Cleanup(func() { goleak.VerifyNone(t, leaks) })
	}
	j := &journal{}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the provider logged:\n%s", j)
		}
	})
	st := &stage{T: t, subject: s, log: j}
	st.Source = s.Open(t, slog.New(slog.NewTextHandler(j, nil)))
	if st.Says == nil {
		st.Says = func(ep discovery.Endpoint) discovery.Endpoint { return ep }
	}
	if st.Provider.String() == "" {
		t.Error("the provider has no name")
	}
	return st
}

// endpoints makes n of them, of one generation: no two generations have one in
// common.
func endpoints(generation, n int) []discovery.Endpoint {
	set := make([]discovery.Endpoint, n)
	for i := range set {
		set[i] = discovery.Endpoint{
			Addr:   fmt.Sprintf("10.%d.%d.%d:8080", generation, i/250, i%250+1),
			Region: "us-east", Zone: fmt.Sprintf("z%d", i%3), Weight: (i + 1) % 101, Slots: i % 7,
		}
	}
	return set
}

// A watched is one Watch, and all that it has reported.
type watched struct {
	stage    *stage
	function string
	stop     func()

	mu      sync.Mutex
	ids     map[string]string // by address
	reports [][]discovery.Endpoint
	over    bool // Watch has returned
}

// watch watches a function until stop is called, or the test ends.
func (st *stage) watch(name string) *watched { return st.watchFunction(st.Function(name)) }

func (st *stage) watchFunction(fn config.Function) *watched {
	w := &watched{stage: st, function: fn.Name, ids: map[string]string{}}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		err := st.Provider.Watch(ctx, &fn, w.report)
		w.mu.Lock()
		w.over = true
		w.mu.Unlock()
		done <- err
	}()
	w.stop = sync.OnceFunc(func() {
		cancel()
		select {
		case err := <-done:
			if err != nil {
				st.Errorf("the watch of %s ended with %v", fn.Name, err)
			}
		case <-time.After(st.subject.Patience):
			st.Errorf("the watch of %s does not end", fn.Name)
		}
	})
	st.Cleanup(w.stop)
	return w
}

// report keeps a copy of what is reported, checks what must be true of every
// report, and makes the slice unusable, as its owner may.
func (w *watched) report(set []discovery.Endpoint) {
	w.mu.Lock()
	defer w.mu.Unlock()
	mine := sorted(set)
	for i := range set[:cap(set)] {
		set[:cap(set)][i] = discovery.Endpoint{ID: "scribbled over", Addr: "scribbled over"}
	}
	if w.over {
		w.stage.Errorf("%s: reported after the watch had ended", w.function)
	}
	if last := len(w.reports) - 1; last >= 0 && slices.Equal(w.reports[last], mine) {
		w.stage.Errorf("%s: reported %v again, which is no news", w.function, addrs(mine))
	}
	seen := map[string]bool{}
	for _, ep := range mine {
		switch id, known := w.ids[ep.Addr]; {
		case ep.ID == "" || ep.Addr == "":
			w.stage.Errorf("%s: an endpoint without id or address: %+v", w.function, ep)
		case seen[ep.ID]:
			w.stage.Errorf("%s: the id %s twice in %v", w.function, ep.ID, addrs(mine))
		case known && id != ep.ID:
			w.stage.Errorf("%s: %s has become %s, was %s", w.function, ep.Addr, ep.ID, id)
		}
		seen[ep.ID] = true
		w.ids[ep.Addr] = ep.ID
	}
	w.reports = append(w.reports, mine)
}

func sorted(set []discovery.Endpoint) []discovery.Endpoint {
	set = slices.Clone(set)
	slices.SortFunc(set, func(a, b discovery.Endpoint) int { return cmp.Compare(a.Addr, b.Addr) })
	return set
}

func addrs(set []discovery.Endpoint) []string {
	var all []string
	for _, ep := range set {
		all = append(all, ep.Addr)
	}
	if len(all) > 12 {
		all = append(all[:10], fmt.Sprintf("… %d in all", len(set)))
	}
	return all
}

// told is how many reports there were, and the newest one.
func (w *watched) told() (int, []discovery.Endpoint) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.reports) == 0 {
		return 0, nil
	}
	return len(w.reports), w.reports[len(w.reports)-1]
}

// until waits for these endpoints to be the newest set, and checks every word
// that was said of them.
func (w *watched) until(want []discovery.Endpoint) {
	w.stage.Helper()
	w.stage.eventually(func() bool {
		n, set := w.told()
		return n > 0 && w.stage.same(set, want)
	}, func() string {
		n, set := w.told()
		return fmt.Sprintf("%s: the last of %d reports is %v, want %v\n%+v\n%+v", w.function, n, addrs(set), addrs(want),
			first(set), first(want))
	})
}

func first(set []discovery.Endpoint) any {
	if len(set) == 0 {
		return nil
	}
	return set[0]
}

func (st *stage) same(set, want []discovery.Endpoint) bool {
	said := sorted(want)
	for i := range said {
		said[i] = st.Says(said[i])
	}
	return slices.EqualFunc(set, said, func(got, want discovery.Endpoint) bool {
		got.ID = ""
		return got == want
	})
}

// silent checks that nothing is reported while the suite listens.
func (w *watched) silent() {
	w.stage.Helper()
	before, _ := w.told()
	time.Sleep(w.stage.subject.Silence) //nolint:forbidigo // a test
	if after, set := w.told(); after != before {
		w.stage.Errorf("%s: reported %v, want silence", w.function, addrs(set))
	}
}

// eventually waits for something to become true.
func (st *stage) eventually(ok func() bool, otherwise func() string) {
	st.Helper()
	patience := st.subject.Patience
	for late := time.Now().Add(patience); !ok(); time.Sleep(patience / 2000) { //nolint:forbidigo // a test
		if time.Now().After(late) {
			st.Fatal(otherwise())
		}
	}
}

// A journal keeps what is logged.
type journal struct {
	mu  sync.Mutex
	log bytes.Buffer
}

func (j *journal) Write(line []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.log.Write(line)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.log.String()
}

// complains tells whether there is a line above info.
func (j *journal) complains() bool {
	log := j.String()
	return strings.Contains(log, "level=WARN") || strings.Contains(log, "level=ERROR")
}
