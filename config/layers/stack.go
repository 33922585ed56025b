package layers

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/weir-gateway/weir/config"
)

// Parts are what a Stack is made of.
type Parts struct {
	// Path of the configuration file.
	Path string
	// Prepare gets ready what a Config needs, and returns what takes it over; or
	// it says why it cannot be taken over while weir runs, and nothing has
	// changed. Both are called for one after the other, must not block for long,
	// and must not call the Stack.
	Prepare func(*config.Config) (apply func(), err error)
	// Tell is told of every reading of the files: nil, or why they are not
	// taken over.
	Tell func(error)
	Log  *slog.Logger
}

// A Stack holds the layers of the configuration and what stands of them. Its
// methods may be called from any goroutine.
type Stack struct {
	Parts
	wake chan struct{} // capacity one: something that Run looks at has changed

	mu      sync.Mutex // one change at a time; guards all below
	keep    string     // the file in which overrides outlive a restart; empty for none
	now     layers
	cfg     *config.Config
	history []Entry

	seenFiles  *config.Files // as they were last read, taken over or not
	badFiles   string        // why they were not; empty if they were
	seenConsul []config.Fragment
	heard      chan struct{} // closed when Consul's keys are known
	isHeard    bool
}

// layers are what a Config is built of.
type layers struct {
	files     *config.Files
	consul    []config.Fragment
	overrides []Override // in the order of their paths
}

// build makes the Config of the layers.
func (l layers) build() (*config.Config, error) {
	over := slices.Clone(l.consul)
	for _, o := range l.overrides {
		over = append(over, o.fragment())
	}
	return l.files.With(over)
}

// New makes a Stack and the first Config, which it does not apply: nobody is
// there yet to take it. What is kept of overrides is over the file already.
func New(p Parts) (*Stack, error) {
	files, err := config.ReadFiles(p.Path)
	if err != nil {
		return nil, err
	}
	s := &Stack{Parts: p, wake: make(chan struct{}, 1), heard: make(chan struct{}), now: layers{files: files}, seenFiles: files}
	first, err := s.now.build()
	if err != nil {
		return nil, err
	}
	s.cfg = first
	if s.keep = first.Admin.OverridesFile; s.keep != "" {
		if s.now.overrides, err = readOverrides(s.keep, time.Now()); err != nil {
			// Not a reason to serve nobody: the file stands.
			p.Log.Error("the overrides are not what was kept of them", "file", s.keep, "error", err.Error())
		}
	}
	if s.cfg, err = s.now.build(); err != nil {
		return nil, err
	}
	s.enter(Entry{Source: "start", Reason: "weir started"})
	s.warn()
	return s, nil
}

// Config returns the one that stands.
func (s *Stack) Config() *config.Config {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.cfg
}

// Reload reads the files again, because somebody asked for it: it ends what a
// rollback has done to the file's layer. A mistake changes nothing; it is
// returned, logged and told.
func (s *Stack) Reload(reason string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.readLocked("signal", reason, true)
}

// bad tells whether the files that were last read are not taken over.
func (s *Stack) bad() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.badFiles != ""
}

// changedOnDisk reads the files again, because one of them may be another.
func (s *Stack) changedOnDisk() {
	s.mu.Lock()
	defer s.mu.Unlock()
	_ = s.readLocked("file", "a file has changed", false) // it is logged
}

func (s *Stack) readLocked(source, reason string, asked bool) error {
	files, err := s.seenFiles.Again()
	next, same := s.now, false
	if err == nil {
		same = files.Hash == s.seenFiles.Hash && slices.Equal(files.Names, s.seenFiles.Names)
		if !same || asked || s.badFiles != "" {
			next.files = files
		}
		s.seenFiles = files // what is watched, and what the next reading is compared with
	}
	if same && !asked && s.badFiles == "" && len(s.cfg.Files) == len(s.now.files.Names) {
		return nil // nor are there files that settings name
	}
	var cfg *config.Config
	if err == nil {
		cfg, err = next.build()
	}
	if err == nil && same && !asked && s.badFiles == "" && cfg.Equal(s.cfg) {
		return nil // somebody has touched it
	}
	if err == nil {
		err = s.stand(next, cfg, Entry{Source: source, Reason: reason})
	}
	wasBad := s.badFiles
	if err != nil {
		s.badFiles = err.Error()
		if s.badFiles == wasBad && !asked {
			return err // it was told
		}
		s.Tell(err)
		s.Log.Error("configuration not taken over, the last good one stands", "error", err.Error())
		return err
	}
	s.badFiles = ""
	s.Tell(nil)
	s.Log.Info("configuration read", "config", cfg.Hash)
	s.ring()
	return nil
}

// Still calls f with the Config that stands, and makes no change meanwhile.
func (s *Stack) Still(f func(*config.Config)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f(s.cfg)
}

// Heard is closed when SetConsul was called once.
func (s *Stack) Heard() <-chan struct{} { return s.heard }

// SetConsul takes over what Consul's keys say, all of them; ctx is over if
// somebody else is asked by now.
func (s *Stack) SetConsul(ctx context.Context, fragments []config.Fragment) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if ctx.Err() != nil {
		return
	}
	if !s.isHeard {
		s.isHeard = true
		close(s.heard)
	}
	if slices.EqualFunc(fragments, s.seenConsul, sameFragment) {
		return
	}
	reason := changedKeys(s.seenConsul, fragments)
	s.seenConsul = fragments
	next := s.now
	next.consul = fragments
	cfg, err := next.build()
	if err != nil {
		panic("BUG: files that stood are none any more: " + err.Error()) // With leaves out what is wrong over them
	}
	if err := s.stand(next, cfg, Entry{Source: "consul", Reason: reason}); err != nil {
		s.Log.Error("what consul's keys say is not taken over", "error", err.Error())
	}
}

func sameFragment(a, b config.Fragment) bool {
	return a.Layer == b.Layer && a.Name == b.Name && a.Text == b.Text && slices.Equal(a.Path, b.Path)
}

// changedKeys says which fragments differ, as far as a line has room.
func changedKeys(before, after []config.Fragment) string {
	was := map[string]string{}
	for _, f := range before {
		was[f.Name] = f.Text
	}
	var changed []string
	for _, f := range after {
		if text, ok := was[f.Name]; !ok || text != f.Text {
			changed = append(changed, f.Name)
		}
		delete(was, f.Name)
	}
	for _, f := range before {
		if _, gone := was[f.Name]; gone {
			changed = append(changed, f.Name+" is gone")
		}
	}
	const most = 3
	if len(changed) > most {
		return fmt.Sprintf("%s and %d more", joined(changed[:most]), len(changed)-most)
	}
	return joined(changed)
}

// stand makes a Config the one that stands, if it says something new and can be
// taken over.
func (s *Stack) stand(next layers, cfg *config.Config, e Entry) error {
	if cfg.Hash == s.cfg.Hash && cfg.Equal(s.cfg) {
		s.now = next
		return nil
	}
	file := cfg.Admin.OverridesFile
	if err := s.keepBeside(file, next.overrides); err != nil {
		return err
	}
	apply, err := s.Prepare(cfg)
	if err != nil {
		s.forget(file)
		return err
	}
	s.now = next
	file, s.keep = s.keep, file
	s.forget(file)
	told := slices.Equal(cfg.Warnings, s.cfg.Warnings)
	s.cfg = cfg
	s.enter(e)
	if !told {
		s.warn()
	}
	apply()
	return nil
}

// keepAndStand is stand for overrides that have changed, which are kept first:
// who was told that one stands must find it after a restart.
func (s *Stack) keepAndStand(next layers, cfg *config.Config, e Entry) error {
	if err := s.save(next.overrides); err != nil {
		return err
	}
	if err := s.stand(next, cfg, e); err != nil {
		if back := s.save(s.now.overrides); back != nil {
			s.Log.Error("overrides are kept that do not stand", "error", back.Error())
		}
		return &Refusal{Unusable, "It cannot be taken over: " + err.Error(), nil}
	}
	return nil
}

// warn logs what is hardly meant in the Config that stands.
func (s *Stack) warn() {
	for _, w := range s.cfg.Warnings {
		s.Log.Warn("configuration", "warning", w)
	}
}

// ring has Run look again.
func (s *Stack) ring() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}
