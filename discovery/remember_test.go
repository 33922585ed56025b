package discovery

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-gateway/weir/config"
)

var remembered = config.Function{Name: "f", Service: "f"}

// A lifetime is one weir: a source, remembered in a folder.
type lifetime struct {
	*listener
	t      *testing.T
	memory *Memory
	source voice
	said   *bytes.Buffer // the log
	end    func()
}

// live begins one. It ends with end, or the test does not.
func live(t *testing.T, dir string, fn config.Function) *lifetime {
	t.Helper()
	l := &lifetime{listener: &listener{}, t: t, source: make(voice), said: &bytes.Buffer{}}
	var err error
	if l.memory, err = NewMemory(dir, slog.New(slog.NewTextHandler(l.said, nil))); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var work sync.WaitGroup
	work.Go(func() { _ = l.memory.Run(ctx) })
	work.Go(func() { _ = Remember(l.source, l.memory).Watch(ctx, &fn, l.report) })
	l.end = func() {
		synctest.Wait() // what was said is heard
		cancel()
		work.Wait()
	}
	return l
}

func somebody(addrs ...string) (set []Endpoint) {
	for _, addr := range addrs {
		set = append(set, Endpoint{ID: addr, Addr: addr, Weight: 1})
	}
	return set
}

func file(dir string) string { return filepath.Join(dir, "voice", "f.endpoints") }

func TestRestartWhileTheSourceIsAway(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		l := live(t, dir, remembered)
		l.want(t)
		l.source <- append(somebody("10.0.0.1:1", "10.0.0.2:1"), Endpoint{ID: "x", Addr: "10.0.0.3:1", Unproven: true})
		l.want(t, "10.0.0.1:1 10.0.0.2:1 10.0.0.3:1")
		l.end()

		time.Sleep(time.Hour)
		l = live(t, dir, remembered)
		time.Sleep(recallAfter - time.Millisecond)
		l.want(t)
		time.Sleep(time.Millisecond)
		l.want(t, "10.0.0.1:1 10.0.0.2:1")
		recalls := l.memory.Recalls()
		if len(recalls) != 1 || time.Since(recalls[0].Learned) < time.Hour || recalls[0].Function != "f" {
			t.Errorf("its age is not told: %+v", recalls)
		}
		time.Sleep(time.Hour)
		l.source <- somebody("10.0.0.9:1")
		l.want(t, "10.0.0.1:1 10.0.0.2:1", "10.0.0.9:1")
		if len(l.memory.Recalls()) != 0 {
			t.Error("confirmed, and still shown as from memory")
		}
		l.end()

		l = live(t, dir, remembered)
		l.source <- somebody("10.0.0.5:1") // in time: nothing from memory comes between
		l.want(t, "10.0.0.5:1")
		time.Sleep(time.Hour)
		l.want(t, "10.0.0.5:1")
		l.end()

		l = live(t, dir, config.Function{Name: "f", Service: "another"})
		time.Sleep(time.Hour)
		l.want(t) // what is remembered is of another service
		l.end()
	})
}

// A registry that has lost its memory too is believed late.
func TestEmptyWordAfterARestart(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		l := live(t, dir, remembered)
		l.source <- somebody("10.0.0.1:1")
		l.end()

		l = live(t, dir, remembered)
		l.source <- nil
		l.want(t, "10.0.0.1:1")
		time.Sleep(believeAfter / 2)
		l.source <- somebody("10.0.0.2:1")
		l.want(t, "10.0.0.1:1", "10.0.0.2:1")
		l.source <- nil // it knows what it says now
		l.want(t, "10.0.0.1:1", "10.0.0.2:1", "")
		l.end()

		l = live(t, dir, remembered)
		time.Sleep(time.Hour)
		l.want(t) // nobody is worth no word
		l.source <- somebody("10.0.0.1:1")
		l.want(t, "10.0.0.1:1")
		l.end()

		l = live(t, dir, remembered)
		l.source <- nil
		time.Sleep(believeAfter)
		l.want(t, "10.0.0.1:1", "")
		l.end()
	})
}

// One that has yet to prove that it listens does not take the others' place.
func TestNewInstanceAfterARestart(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		l := live(t, dir, remembered)
		l.source <- somebody("10.0.0.1:1")
		l.end()

		fresh := Endpoint{ID: "n", Addr: "10.0.0.2:1", Weight: 1, Unproven: true}
		l = live(t, dir, remembered)
		l.source <- nil
		l.source <- []Endpoint{fresh}
		l.source <- []Endpoint{fresh}
		l.want(t, "10.0.0.1:1", "10.0.0.1:1 10.0.0.2:1")
		fresh.Unproven = false
		l.source <- []Endpoint{fresh}
		l.want(t, "10.0.0.1:1", "10.0.0.1:1 10.0.0.2:1", "10.0.0.2:1")
		l.end()
	})
}

// Whatever has happened to a file, it costs that file, and it is said.
func TestBrokenFiles(t *testing.T) {
	dir := t.TempDir()
	breakIt := func(name string, change func([]byte) []byte, words string) {
		t.Helper()
		synctest.Test(t, func(t *testing.T) {
			l := live(t, dir, remembered)
			l.source <- somebody("10.0.0.1:1")
			l.end()
			good, err := os.ReadFile(file(dir))
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(file(dir), change(good), 0o600); err != nil {
				t.Fatal(err)
			}
			l = live(t, dir, remembered)
			time.Sleep(time.Hour)
			l.want(t)
			if said := l.said.String(); !strings.Contains(said, words) || !strings.Contains(said, "f.endpoints") {
				t.Errorf("%s: the log does not say %q: %s", name, words, said)
			}
			l.source <- somebody("10.0.0.2:1")
			l.want(t, "10.0.0.2:1")
			l.end()
			if _, err := readFile[record](file(dir)); err != nil {
				t.Errorf("%s: and it stays so: %v", name, err)
			}
		})
	}
	breakIt("empty", func([]byte) []byte { return nil }, errHeader.Error())
	breakIt("cut off", func(b []byte) []byte { return b[:len(b)-3] }, "checksum")
	breakIt("one bit", func(b []byte) []byte { b[len(b)-9] ^= 1; return b }, "checksum")
	breakIt("of another program", func([]byte) []byte { return []byte("{}\n{}") }, errHeader.Error())
	breakIt("too long", func([]byte) []byte { return make([]byte, longestRecord+1) }, errLong.Error())
	breakIt("a name for an address", func([]byte) []byte {
		body := []byte(`{"source":"voice","function":"f","service":"f","endpoints":[{"Addr":"db.internal:1"}]}`)
		return append([]byte(header("x.endpoints")+checksum(body)+"\n"), body...)
	}, "db.internal")
}

func TestNothingToWriteTo(t *testing.T) {
	blocked := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(blocked, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := NewMemory(filepath.Join(blocked, "below"), quiet); err == nil || !strings.Contains(err.Error(), blocked) {
		t.Errorf("told %v", err)
	}
}

// A function that flaps costs one write a second.
func TestWritesAreFew(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		l := live(t, dir, remembered)
		writes, last := 0, time.Time{}
		for range 100 {
			l.source <- somebody("10.0.0.1:1")
			l.source <- somebody("10.0.0.2:1")
			time.Sleep(100 * time.Millisecond)
			if r, err := readFile[record](file(dir)); err == nil && !r.Learned.Equal(last) {
				writes, last = writes+1, r.Learned
			}
		}
		if writes < 5 || writes > 12 {
			t.Errorf("%d writes in 10 s", writes)
		}
		l.end()
		if left, _ := filepath.Glob(filepath.Join(dir, "voice", ".new-*")); len(left) > 0 {
			t.Errorf("left behind: %v", left)
		}
	})
}

func FuzzRecord(f *testing.F) {
	body := []byte(`{"source":"voice","function":"f","endpoints":[{"Addr":"10.0.0.1:1"}]}`)
	f.Add(append([]byte(header("x.endpoints")+checksum(body)+"\n"), body...))
	f.Add([]byte(header("x.endpoints")))
	f.Fuzz(func(t *testing.T, raw []byte) {
		r, err := decode[record](header("x.endpoints"), raw)
		if err != nil && len(r.Endpoints) > 0 {
			t.Error("endpoints of a file that is of no use")
		}
	})
}

func TestSwap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := make(voice), make(voice)
		s := NewSwap(a)
		ctx, cancel := context.WithCancel(t.Context())
		l := &listener{}
		ended := make(chan error)
		go func() { ended <- s.Watch(ctx, &config.Function{}, l.report) }()
		a <- somebody("10.0.0.1:1")
		l.want(t, "10.0.0.1:1")
		s.Use(b)
		l.want(t, "10.0.0.1:1") // it stands
		select {
		case a <- nil:
			t.Error("the old one is still heard")
		default:
		}
		b <- somebody("10.0.0.2:1")
		l.want(t, "10.0.0.1:1", "10.0.0.2:1")
		s.Use(Merge())
		l.want(t, "10.0.0.1:1", "10.0.0.2:1", "")
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		s.Use(giveUp{})
		if err := s.Watch(t.Context(), &config.Function{}, l.report); err == nil {
			t.Error("nobody hears that it gave up")
		}
	})
}
