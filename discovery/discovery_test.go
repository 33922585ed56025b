package discovery

import (
	"context"
	"errors"
	"log/slog"
	"runtime"
	"runtime/metrics"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-gateway/weir/config"
)

var quiet = slog.New(slog.DiscardHandler)

// A listener keeps what a Watch reports.
type listener struct {
	mu      sync.Mutex
	reports []string
}

func (l *listener) report(endpoints []Endpoint) {
	var addrs []string
	for _, ep := range endpoints {
		addrs = append(addrs, ep.Addr)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.reports = append(l.reports, strings.Join(addrs, " "))
}

// want checks all that was reported so far.
func (l *listener) want(t *testing.T, reports ...string) {
	t.Helper()
	synctest.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	if got, want := strings.Join(l.reports, "; "), strings.Join(reports, "; "); got != want {
		t.Errorf("reported %q, want %q", got, want)
	}
}

// watch runs a test with a Watch that ends with it.
func watch(t *testing.T, p Provider, fn config.Function, test func(t *testing.T, l *listener)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		l := &listener{}
		ended := make(chan error)
		go func() { ended <- p.Watch(ctx, &fn, l.report) }()
		test(t, l)
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("the watch ended with %v", err)
		}
	})
}

func TestStatic(t *testing.T) {
	fn := config.Function{Name: "f", Endpoints: []config.Endpoint{
		{Address: "127.0.0.1:1", Weight: 3, Slots: 4, Region: "r", Zone: "z"}, {Address: "[::1]:2"}, {Address: "unix:/run/f"},
	}}
	watch(t, NewStatic(quiet), fn, func(t *testing.T, l *listener) {
		l.want(t, "127.0.0.1:1 [::1]:2 unix:/run/f")
		time.Sleep(time.Hour)
		l.want(t, "127.0.0.1:1 [::1]:2 unix:/run/f")
	})
	watch(t, NewStatic(quiet), config.Function{Name: "none"}, func(t *testing.T, l *listener) { l.want(t, "") })
}

func TestNamesAreResolvedAgain(t *testing.T) {
	var mu sync.Mutex
	answer, failure := []string{"10.0.0.2", "10.0.0.1"}, error(nil)
	say := func(err error, addrs ...string) {
		mu.Lock()
		defer mu.Unlock()
		answer, failure = addrs, err
	}
	s := NewStatic(quiet)
	s.lookup = func(context.Context, string) ([]string, error) {
		mu.Lock()
		defer mu.Unlock()
		return append([]string(nil), answer...), failure
	}
	fn := config.Function{Name: "f", Endpoints: []config.Endpoint{{Address: "db.internal:80"}}}
	watch(t, s, fn, func(t *testing.T, l *listener) {
		first := "10.0.0.1:80 10.0.0.2:80"
		l.want(t, first)
		time.Sleep(2 * resolveEvery)
		l.want(t, first) // nothing new is nothing said
		say(errors.New("no resolver"))
		time.Sleep(2 * resolveEvery)
		l.want(t, first) // silence is not an empty set
		say(nil, "10.0.0.3")
		time.Sleep(resolveEvery)
		l.want(t, first, "10.0.0.3:80")
	})
	say(errors.New("no resolver"))
	watch(t, s, fn, func(t *testing.T, l *listener) {
		l.want(t, "10.0.0.3:80") // a newer watch begins with what is known
	})
}

// A voice says what the test tells it to.
type voice chan []Endpoint

func (v voice) String() string { return "voice" }

func (v voice) Watch(ctx context.Context, _ *config.Function, report func([]Endpoint)) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case said := <-v:
			report(said)
		}
	}
}

func TestMergeBeginsWithTheWholeSet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := make(voice), make(voice)
		m := Merge(a, b)
		ctx, cancel := context.WithCancel(t.Context())
		l := &listener{}
		ended := make(chan error)
		go func() { ended <- m.Watch(ctx, &config.Function{}, l.report) }()
		a <- []Endpoint{{Addr: "a1"}}
		l.want(t)
		b <- nil
		l.want(t, "a1")
		b <- []Endpoint{{Addr: "b1"}}
		l.want(t, "a1", "a1 b1")
		a <- nil
		l.want(t, "a1", "a1 b1", "b1")
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

func TestMergeDoesNotWaitForTheSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := make(voice), make(voice)
		ctx, cancel := context.WithCancel(t.Context())
		l := &listener{}
		ended := make(chan error)
		go func() { ended <- Merge(a, b).Watch(ctx, &config.Function{}, l.report) }()
		a <- []Endpoint{{Addr: "a1"}}
		time.Sleep(firstWords)
		l.want(t, "a1")
		cancel()
		<-ended
	})
}

// What is known beforehand is not waited for, nor for whoever has nothing more to
// say.
func TestMergeKnowsWhatIsFixed(t *testing.T) {
	fn := config.Function{Endpoints: []config.Endpoint{{Address: "127.0.0.1:1"}, {Address: "https://127.0.0.1:2"}}}
	static := NewStatic(quiet)
	set, ok := FixedSet(Merge(static, Merge(static)), &fn)
	if !ok || len(set) != 4 || set[0].Addr != "127.0.0.1:1" || !set[3].TLS {
		t.Errorf("%v, %t", set, ok)
	}
	named := config.Function{Endpoints: []config.Endpoint{{Address: "127.0.0.1:1"}, {Address: "example.com:1"}}}
	for what, ok := range map[string]bool{
		"a name":                         second(FixedSet(static, &named)),
		"one who may say more":           second(FixedSet(Merge(static, make(voice)), &fn)),
		"one who knows only what it has": second(FixedSet(make(voice), &fn)),
	} {
		if ok {
			t.Errorf("%s is taken for fixed", what)
		}
	}
	synctest.Test(t, func(t *testing.T) {
		v := make(voice)
		ctx, cancel := context.WithCancel(t.Context())
		l := &listener{}
		ended := make(chan error)
		go func() { ended <- Merge(v, static).Watch(ctx, &fn, l.report) }()
		l.want(t)
		time.Sleep(firstWords)
		l.want(t, "127.0.0.1:1 127.0.0.1:2")
		v <- []Endpoint{{Addr: "a1"}}
		l.want(t, "127.0.0.1:1 127.0.0.1:2", "127.0.0.1:1 127.0.0.1:2 a1")
		cancel()
		<-ended
	})
	watch(t, Merge(static), fn, func(t *testing.T, l *listener) { l.want(t, "127.0.0.1:1 127.0.0.1:2") })
}

func second(_ []Endpoint, ok bool) bool { return ok }

// A source that gives up.
type giveUp struct{}

func (giveUp) String() string { return "giveUp" }

func (giveUp) Watch(context.Context, *config.Function, func([]Endpoint)) error {
	return errors.New("pointless")
}

func TestMergeGoesOnWithoutOneThatGaveUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := make(voice)
		ctx, cancel := context.WithCancel(t.Context())
		l := &listener{}
		ended := make(chan error)
		go func() { ended <- Merge(giveUp{}, v).Watch(ctx, &config.Function{}, l.report) }()
		v <- []Endpoint{{Addr: "a1"}}
		time.Sleep(firstWords)
		l.want(t, "a1")
		cancel()
		if err := <-ended; err == nil {
			t.Error("nobody hears that one gave up")
		}
	})
}

// Ten thousand functions have a watch each, of which the stack is most of what it
// takes: it stays at the few KiB that a goroutine begins with.
func TestStackOfAWatch(t *testing.T) {
	const watches = 500
	stacks := func() uint64 {
		sample := []metrics.Sample{{Name: "/memory/classes/heap/stacks:bytes"}}
		metrics.Read(sample)
		return sample[0].Value.Uint64()
	}
	p := Merge(NewStatic(slog.Default()), NewSwap(Guard(Merge(silent{}), time.Minute)))
	runtime.GC() // gives back the stacks of those who have ended
	before := stacks()
	var work sync.WaitGroup
	defer work.Wait()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	told := make(chan int, watches)
	for range watches {
		work.Go(func() { _ = p.Watch(ctx, &config.Function{}, func(set []Endpoint) { told <- len(set) }) })
	}
	for range watches {
		<-told
	}
	if each := int64(stacks()-before) / watches; each > 12<<10 {
		t.Errorf("a watch has %d bytes of stack, want 4 KiB, and no more than 12", each)
	}
}

// silent is a source without anything to say.
type silent struct{}

func (silent) String() string { return "silent" }

func (silent) Watch(ctx context.Context, _ *config.Function, report func([]Endpoint)) error {
	return Nothing(ctx, report)
}
