package document

import (
	"context"
	"log/slog"
	"slices"
	"sync"

	"github.com/weir-gateway/weir/config"
	"github.com/weir-gateway/weir/discovery"
)

// A Latest is the newest version of a document: the provider of the endpoints in
// it, whoever reads it. Its methods may be called from any goroutine.
type Latest struct {
	source string // in front of the services
	log    *slog.Logger

	mu       sync.Mutex // guards all below
	services Services   // nil: there is none yet
	changed  chan struct{}
	refused  []discovery.Refusal
}

// NewLatest makes one without a document. The functions whose service begins
// with source are its own.
func NewLatest(source string, log *slog.Logger) *Latest {
	return &Latest{source: source, log: log, changed: make(chan struct{})}
}

// String names the provider.
func (l *Latest) String() string { return l.source }

// Set makes services the newest version. They stay as they are from then on.
func (l *Latest) Set(services Services) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.services = services
	close(l.changed)
	l.changed = make(chan struct{})
}

// now returns the newest version, and what is closed when there is a newer one.
func (l *Latest) now() (Services, <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.services, l.changed
}

// Watch reports the endpoints of the function's service until ctx ends, from the
// first version on and then whenever they are others. A service that is not in
// the document has none.
func (l *Latest) Watch(ctx context.Context, fn *config.Function, report func([]discovery.Endpoint)) error {
	service, mine := fn.ServiceIn(l.source)
	if !mine {
		return discovery.Nothing(ctx, report)
	}
	var last []discovery.Endpoint
	for spoken := false; ; {
		services, changed := l.now()
		if set := services[service]; services != nil && (!spoken || !slices.Equal(set, last)) {
			last, spoken = set, true
			report(slices.Clone(set))
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil
		}
	}
}

// Refuse keeps what cannot be used now, of the document or all of it, and logs
// what of it is new.
func (l *Latest) Refuse(refused []discovery.Refusal) {
	l.mu.Lock()
	before := l.refused
	l.refused = refused
	l.mu.Unlock()
	for _, r := range refused {
		if !slices.Contains(before, r) {
			l.log.Warn("refused", "what", r.What, "reason", r.Reason)
		}
	}
	if len(refused) == 0 && len(before) > 0 {
		l.log.Info("all of it can be used again", "provider", l.source)
	}
}

// Refused returns what cannot be used now, and why.
func (l *Latest) Refused() []discovery.Refusal {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.refused)
}
