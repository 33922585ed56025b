package discovery

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// told keeps what a Note passes on.
type told struct{ words []string }

func (w *told) hear(word string) { w.words = append(w.words, word) }

func (w *told) want(t *testing.T, words ...string) {
	t.Helper()
	synctest.Wait()
	if got, want := strings.Join(w.words, "; "), strings.Join(words, "; "); got != want {
		t.Errorf("passed on %q, want %q", got, want)
	}
}

func TestNote(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		live := func(story func(m *Memory, n *Note[string], w *told)) {
			m, err := NewMemory(dir, quiet)
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			var work sync.WaitGroup
			work.Go(func() { _ = m.Run(ctx) })
			w := &told{}
			n := NewNote(m, "consul:dc1", "tags", w.hear)
			story(m, n, w)
			n.End()
			heard := len(w.words)
			n.Say("too late")
			time.Sleep(time.Hour)
			if len(w.words) != heard || len(m.Recalls()) != 0 {
				t.Errorf("after its end: %q, %v", w.words, m.Recalls())
			}
			cancel()
			work.Wait()
		}
		live(func(_ *Memory, n *Note[string], w *told) {
			time.Sleep(time.Hour)
			w.want(t)
			n.Say("a")
			n.Say("a")
			n.Say("b")
			w.want(t, "a", "b")
		})
		live(func(m *Memory, n *Note[string], w *told) { // the source is away
			if kept, known := n.Kept(); kept != "b" || !known {
				t.Errorf("kept is %q, %v", kept, known)
			}
			time.Sleep(recallAfter)
			w.want(t, "b")
			if all := m.Recalls(); len(all) != 1 || all[0].Function != "" || time.Since(all[0].Learned) < time.Hour {
				t.Errorf("its age is not told: %+v", all)
			}
			n.Say("b") // it says so itself
			w.want(t, "b", "b")
			if len(m.Recalls()) != 0 {
				t.Error("confirmed, and still shown as from memory")
			}
		})
		live(func(_ *Memory, n *Note[string], w *told) { // it speaks in time
			n.Say("c")
			time.Sleep(time.Hour)
			w.want(t, "c")
		})
		live(func(*Memory, *Note[string], *told) {}) // it ends before anything is known
		live(func(_ *Memory, _ *Note[string], w *told) {
			time.Sleep(time.Hour)
			w.want(t, "c")
		})
		file := filepath.Join(dir, "consul:dc1", "all.tags")
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, content[:len(content)-1], 0o600); err != nil {
			t.Fatal(err)
		}
		live(func(_ *Memory, n *Note[string], w *told) { // it was cut off
			time.Sleep(time.Hour)
			w.want(t)
			n.Say("d")
			w.want(t, "d")
		})
		if n := NewNote(nil, "consul", "tags", (&told{}).hear); n == nil {
			t.Error("there is none without a Memory")
		} else {
			n.Say("e")
			n.End()
		}
	})
}

// What cannot be read again is not written.
func TestTooLongToRemember(t *testing.T) {
	m, err := NewMemory(t.TempDir(), quiet)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.write("s/all.tags", strings.Repeat("x", longestRecord)); err != errLong {
		t.Errorf("told %v", err)
	}
}
