package layers

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"
)

const (
	// A file is read when its folders have been quiet for this long: an editor
	// writes in several steps. But no later than after most of them.
	quiet     = 100 * time.Millisecond
	quietMost = time.Second

	// pollEvery is how often files are looked at without an event: on a network
	// file system there is none, and a folder that was taken away and put back is
	// another one. It is a stat for each file.
	pollEvery = 5 * time.Second

	// lookEvery is how late an override may end after the clock was set.
	lookEvery = 10 * time.Second
)

// Run watches the files and ends overrides in time, until ctx ends.
func (s *Stack) Run(ctx context.Context) error {
	events, err := fsnotify.NewWatcher()
	if err != nil {
		s.Log.Warn("the configuration's folders cannot be watched; its files are looked at every now and then", "every_ms", pollEvery.Milliseconds(), "error", err.Error())
		events = &fsnotify.Watcher{}
	} else {
		defer func() { _ = events.Close() }()
	}
	w := watcher{events: events, broken: err != nil}
	poll := time.NewTicker(pollEvery)
	defer poll.Stop()
	settled := time.NewTimer(quiet) // a file may have changed since New has read it
	defer settled.Stop()
	expiry := time.NewTimer(0)
	defer expiry.Stop()
	var since time.Time // the first of the events that are waited out
	last := ""          // as the files were before they were last read
	w.follow(s)
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-s.wake:
			w.follow(s)
			expiry.Reset(0)
			continue
		case <-expiry.C:
			expiry.Reset(waitFor(s.expire(time.Now()), time.Now()))
			continue
		case <-events.Events:
			if since.IsZero() {
				since = time.Now()
			}
			settled.Reset(max(0, min(quiet, quietMost-time.Since(since))))
			continue
		case err := <-events.Errors: // a queue that has run over, mostly: look at all of it
			s.Log.Warn("events of the configuration's folders may be missing", "error", fmt.Sprint(err))
		case <-poll.C:
			if !since.IsZero() {
				continue // an event is being waited out
			}
		case <-settled.C:
		}
		since = time.Time{}
		if now := s.fingerprint(); now != last || s.bad() { // what a broken file needs may be another file
			last = now
			s.changedOnDisk()
			w.followed = nil // a link may lead elsewhere
			w.follow(s)
		}
	}
}

// waitFor is how long to wait for a moment of the wall clock, which may be set.
func waitFor(moment, now time.Time) time.Duration {
	if moment.IsZero() {
		return lookEvery
	}
	return max(0, min(moment.Sub(now.Round(0)), lookEvery))
}

// A watcher knows which folders are watched.
type watcher struct {
	events   *fsnotify.Watcher
	broken   bool
	followed []string // the files and patterns whose folders are watched
}

// follow watches the folders of the files that there are now, and no others.
// Folders and not files: a file that is replaced is another one.
func (w *watcher) follow(s *Stack) {
	names, patterns := s.files()
	now := slices.Concat(names, patterns)
	if w.broken || slices.Equal(now, w.followed) {
		return
	}
	w.followed = now
	folders := watched(names, patterns)
	for _, have := range w.events.WatchList() {
		if !slices.Contains(folders, have) {
			_ = w.events.Remove(have)
		}
	}
	for _, folder := range folders {
		_ = w.events.Add(folder) // what cannot be watched is polled
	}
}

// watched are the folders in which a change can be one of the configuration:
// those of its files, those that links lead to, those of its patterns.
func watched(names, patterns []string) []string {
	var folders []string
	for _, name := range names {
		folders = append(folders, filepath.Dir(name))
		if real, err := filepath.EvalSymlinks(name); err == nil {
			folders = append(folders, filepath.Dir(real))
		}
	}
	for _, pattern := range patterns {
		folder := filepath.Dir(pattern)
		for strings.ContainsAny(folder, `*?[\`) {
			folder = filepath.Dir(folder)
		}
		folders = append(folders, folder)
		found, _ := filepath.Glob(filepath.Dir(pattern))
		folders = append(folders, found...)
	}
	slices.Sort(folders)
	return slices.Compact(folders)
}

// files are those that were last read, those that stand, and the patterns of
// both.
func (s *Stack) files() (names, patterns []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	names = append(slices.Clone(s.cfg.Files), s.seenFiles.Names...)
	patterns = append(slices.Clone(s.cfg.Patterns), s.seenFiles.Patterns...)
	return names, patterns
}

// fingerprint is another one whenever a file may be.
func (s *Stack) fingerprint() string {
	names, patterns := s.files()
	for _, pattern := range patterns {
		found, _ := filepath.Glob(pattern)
		names = append(names, found...)
	}
	slices.Sort(names)
	var b strings.Builder
	for _, name := range slices.Compact(names) {
		info, err := os.Stat(name)
		if err != nil {
			fmt.Fprintf(&b, "%s -\n", name)
			continue
		}
		real, _ := filepath.EvalSymlinks(name)
		fmt.Fprintf(&b, "%s %s %d %d %v\n", name, real, info.Size(), info.ModTime().UnixNano(), inode(info))
	}
	return b.String()
}
