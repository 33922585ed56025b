package file

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/fsnotify/fsnotify"

	"github.com/weir-gateway/weir/config"
	"github.com/weir-gateway/weir/discovery/document"
)

const (
	// A file that is written piece by piece is read when its writer has paused:
	// half of a list is a list. Whoever writes all the time does not keep it from
	// being read: ten times that is the most.
	settle = 50 * time.Millisecond

	// How often is looked without a reason: some file systems tell nothing.
	lookEvery = 30 * time.Second
	// And while something is wrong.
	lookSoon = time.Second
)

// A Provider reports the endpoints that stand in a file, or in the files of a
// folder.
type Provider struct {
	*document.Latest
	path   string
	log    *slog.Logger
	folder folder        // Run's own
	settle time.Duration // the constant, but in a test
}

// New makes a provider for a file or folder, which need not be there yet.
// Nothing is read before Run.
func New(settings config.FileDiscovery, log *slog.Logger) *Provider {
	return &Provider{Latest: document.NewLatest(config.FromFile, log), path: settings.Path, log: log, folder: folder{}, settle: settle}
}

// Run reads the files, and again when they change, until ctx ends.
func (p *Provider) Run(ctx context.Context) error {
	events := make(chan fsnotify.Event) // of nobody, if there is no watcher
	watcher, err := fsnotify.NewWatcher()
	if err != nil {
		p.log.Warn("cannot be told of changes of files and looks itself", "path", p.path, "every_ms", lookEvery.Milliseconds(), "error", err.Error())
	} else {
		defer watcher.Close()
		events = watcher.Events
	}
	for {
		if watcher != nil {
			p.follow(watcher) // first, so that no change falls in between
		}
		next := lookEvery
		if p.read() {
			next = lookSoon
		}
		if !p.wait(ctx, watcher, events, next) {
			return nil
		}
	}
}

// follow watches the folders in which a change of the path shows.
func (p *Provider) follow(watcher *fsnotify.Watcher) {
	var wanted []string // without symbolic links: the watcher must not know a folder by two names
	if dir, err := filepath.EvalSymlinks(filepath.Dir(p.path)); err == nil {
		wanted = append(wanted, dir)
	}
	if real, err := filepath.EvalSymlinks(p.path); err == nil {
		wanted = append(wanted, filepath.Dir(real))
		if info, err := os.Stat(real); err == nil && info.IsDir() {
			wanted = append(wanted, real)
		}
	}
	for _, name := range watcher.WatchList() {
		if !slices.Contains(wanted, name) {
			_ = watcher.Remove(name) // it has gone itself, mostly
		}
	}
	for _, name := range wanted {
		_ = watcher.Add(name) // again, if it is another folder of that name; what fails is looked at every lookSoon
	}
}

// wait returns when it is time to read again, or false when ctx ends.
func (p *Provider) wait(ctx context.Context, watcher *fsnotify.Watcher, events <-chan fsnotify.Event, atLatest time.Duration) bool {
	timer := time.NewTimer(atLatest)
	defer timer.Stop()
	var lost <-chan error
	if watcher != nil {
		lost = watcher.Errors
	}
	var first time.Time
	for {
		select {
		case <-ctx.Done():
			return false
		case <-timer.C:
			return true
		case err := <-lost:
			p.log.Warn("events of files were lost", "path", p.path, "error", err.Error())
			return true
		case <-events:
			if first.IsZero() {
				first = time.Now()
			}
			timer.Reset(min(p.settle, max(0, time.Until(first.Add(10*p.settle)))))
		}
	}
}

// read reads what is new and tells whether something is wrong.
func (p *Provider) read() (wrong bool) {
	services, refused := p.folder.read(p.path)
	if services != nil {
		p.Set(services)
	}
	p.Refuse(refused)
	return len(refused) > 0
}
