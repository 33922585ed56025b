package discovery

import (
	"context"
	"log/slog"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/weir-gateway/weir/config"
)

const (
	// recallAfter is how long a source may keep silent at first before what is
	// remembered of it is reported: less than Merge waits.
	recallAfter = 500 * time.Millisecond
	// believeAfter is how long what is remembered stands against a source that
	// at first knows nobody: a registry that has just been started has not been
	// told yet.
	believeAfter = 10 * time.Second
)

// A Memory keeps what sources have said last in a folder: a file for each
// source and function with the set, and what is kept under a name (Notes). Its methods may be called from any goroutine.
type Memory struct {
	dir string
	log *slog.Logger

	bell chan struct{} // capacity one: there is something to write

	mu       sync.Mutex        // guards all below
	unsaved  map[string]any    // by file
	recalled map[string]Recall // by file: those that stand now
}

// A Recall is what stands although its source has not confirmed it since weir
// was started.
type Recall struct {
	Source   string
	Function string    // whose endpoints; "" of what a Note has
	Learned  time.Time // when it was reported
}

// NewMemory makes a Memory in a folder, and the folder if need be.
func NewMemory(dir string, log *slog.Logger) (*Memory, error) {
	if err := makeFolder(dir); err != nil {
		return nil, err
	}
	return &Memory{
		dir: dir, log: log, bell: make(chan struct{}, 1),
		unsaved: map[string]any{}, recalled: map[string]Recall{},
	}, nil
}

// Recalls are what stands from memory now.
func (m *Memory) Recalls() (all []Recall) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, r := range m.recalled {
		all = append(all, r)
	}
	return all
}

// Remember is the Provider that reports what p does and, until p has spoken,
// what it said last before weir was started.
func Remember(p Provider, m *Memory) Provider { return remembering{p, m} }

type remembering struct {
	Provider
	memory *Memory
}

// Watch watches with the provider. First reports without anybody who has proven
// to listen are believed after ten seconds if there was somebody; what they name
// is reported beside what is remembered.
func (r remembering) Watch(ctx context.Context, fn *config.Function, report func([]Endpoint)) error {
	file := fileOf(r.String(), fn.Name)
	w := &recalling{memory: r.memory, file: file, report: report, kept: r.memory.read(file, r.String(), fn)}
	if len(w.kept.Endpoints) > 0 {
		w.timer = time.AfterFunc(recallAfter, w.silence)
	}
	defer w.end()
	return r.Provider.Watch(ctx, fn, func(set []Endpoint) { w.hear(set, r.String(), fn) })
}

// A recalling is one watch of a source that is remembered.
type recalling struct {
	memory *Memory
	file   string
	report func([]Endpoint)
	kept   record

	mu     sync.Mutex  // guards all below, and keeps reports in order
	timer  *time.Timer // of what comes next without a word of the source; nil if nothing
	spoken bool        // the source has named somebody who is proven, or is believed
	doubt  bool        // it has spoken, and named nobody
	word   []Endpoint  // what it has said
	last   []Endpoint  // what was reported while it was not believed
	ended  bool
}

// silence reports what is remembered, for the source has not spoken in time.
func (w *recalling) silence() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.ended && !w.spoken && !w.doubt {
		w.recallLocked()
	}
}

// recallLocked reports what is remembered, and what the source names beside it.
func (w *recalling) recallLocked() {
	set := slices.Clone(w.kept.Endpoints)
	for _, ep := range w.word {
		if !slices.ContainsFunc(set, func(known Endpoint) bool { return known.ID == ep.ID }) {
			set = append(set, ep)
		}
	}
	switch {
	case w.last == nil:
		w.memory.stands(w.file, Recall{Source: w.kept.Source, Function: w.kept.Function, Learned: w.kept.Learned})
	case slices.Equal(w.last, set):
		return
	}
	w.last = set
	w.report(slices.Clone(set))
}

// hear takes a report of the source.
func (w *recalling) hear(set []Endpoint, source string, fn *config.Function) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ended {
		return
	}
	if !anyProven(set) && !w.spoken && len(w.kept.Endpoints) > 0 {
		w.word = set
		w.recallLocked()
		if !w.doubt {
			w.doubt = true
			w.timer.Stop()
			w.timer = time.AfterFunc(believeAfter, func() { w.believe(source, fn) })
		}
		return
	}
	w.believeLocked(set, source, fn)
}

func anyProven(set []Endpoint) bool {
	return slices.ContainsFunc(set, func(ep Endpoint) bool { return !ep.Unproven })
}

// believe takes the source at its word: ten seconds have passed.
func (w *recalling) believe(source string, fn *config.Function) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.ended && !w.spoken {
		w.believeLocked(w.word, source, fn)
	}
}

func (w *recalling) believeLocked(set []Endpoint, source string, fn *config.Function) {
	w.spoken = true
	w.memory.confirmed(w.file)
	w.memory.keep(w.file, newRecord(source, fn, set))
	w.report(set)
}

func (w *recalling) end() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ended = true
	if w.timer != nil {
		w.timer.Stop()
	}
	w.memory.confirmed(w.file)
}

// stands notes that what a file says is used.
func (m *Memory) stands(file string, r Recall) {
	m.mu.Lock()
	m.recalled[file] = r
	m.mu.Unlock()
	m.log.Warn("what a source said before weir was started is used until it is confirmed",
		"provider", r.Source, "function", r.Function, "file", file, "learned", r.Learned)
}

// confirmed notes that it is not any more.
func (m *Memory) confirmed(file string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.recalled, file)
}

// keep has a file written, soon.
func (m *Memory) keep(file string, content any) {
	m.mu.Lock()
	m.unsaved[file] = content
	m.mu.Unlock()
	select {
	case m.bell <- struct{}{}:
	default:
	}
}

// saveEvery is how often is written: a function that flaps costs one write of
// the disk a second and not ten.
const saveEvery = time.Second

// Run writes until ctx ends, and then what is left.
func (m *Memory) Run(ctx context.Context) error {
	tick := time.NewTicker(saveEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			m.save()
			return nil
		case <-m.bell:
		}
		m.save()
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
}

// save writes what is unsaved. What cannot be written is said, and tried again
// with the next change.
func (m *Memory) save() {
	m.mu.Lock()
	unsaved := m.unsaved
	m.unsaved = map[string]any{}
	m.mu.Unlock()
	for file, content := range unsaved {
		if err := m.write(file, content); err != nil {
			m.log.Error("cannot remember what a source has said", "file", filepath.Join(m.dir, file), "error", err.Error())
		}
	}
}
