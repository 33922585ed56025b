package discovery

import (
	"net/url"
	"path/filepath"
	"reflect"
	"sync"
	"time"
)

// A Note passes on what a source says of something other than endpoints, and
// keeps it in a Memory: if the source keeps silent at first, what it said last
// before weir was started is passed on instead. Its methods may be called from
// any goroutine; what is passed on comes in order.
type Note[T any] struct {
	memory *Memory // nil: nothing is kept
	source string
	file   string
	report func(T)
	kept   noted[T]
	known  bool // kept is something

	mu     sync.Mutex // guards all below, and is held while report runs
	spoken bool
	last   T // that the source has said
	ended  bool
	timer  *time.Timer
}

// noted is what a file says.
type noted[T any] struct {
	Source  string    `json:"source"`
	Learned time.Time `json:"learned"`
	Said    T         `json:"said"`
}

// NewNote begins to pass on what a source says of a thing, kept under the name
// of both. Without a Memory it does nothing else. End it.
func NewNote[T any](m *Memory, source, thing string, report func(T)) *Note[T] {
	n := &Note[T]{memory: m, source: source, file: filepath.Join(url.PathEscape(source), "all."+thing), report: report}
	if m == nil {
		return n
	}
	if n.kept, n.known = recall[noted[T]](m, n.file); n.known {
		n.timer = time.AfterFunc(recallAfter, n.silence)
	}
	return n
}

// Kept is what was said before weir was started. It is shared: do not change it.
func (n *Note[T]) Kept() (said T, known bool) { return n.kept.Said, n.known }

func (n *Note[T]) silence() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.spoken && !n.ended {
		n.memory.stands(n.file, Recall{Source: n.source, Learned: n.kept.Learned})
		n.report(n.kept.Said)
	}
}

// Say passes on what the source says now, of which the Note becomes the owner.
// The same again is no news.
func (n *Note[T]) Say(said T) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.ended || n.spoken && reflect.DeepEqual(n.last, said) {
		return
	}
	n.spoken, n.last = true, said
	if n.memory != nil {
		n.memory.confirmed(n.file)
		n.memory.keep(n.file, noted[T]{Source: n.source, Learned: time.Now().UTC(), Said: said})
	}
	n.report(said)
}

// End has nothing be passed on any more.
func (n *Note[T]) End() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.ended = true
	if n.timer != nil {
		n.timer.Stop()
	}
	if n.memory != nil {
		n.memory.confirmed(n.file)
	}
}
