package table

import (
	"sync"
	"time"

	"github.com/weir-gateway/weir/config"
	"github.com/weir-gateway/weir/discovery"
)

// An inbox is where news for the Keeper lands: the newest value for each key,
// and a bell. A sender never blocks and never queues history.
type inbox struct {
	bell chan struct{} // capacity one: there is news

	mu      sync.Mutex // guards all below
	config  *config.Config
	reports map[*watch]report
	proven  map[probed]time.Time // since when it is known
}

// A report is what a provider said, and when.
type report struct {
	endpoints []discovery.Endpoint
	seen      time.Time
}

// probed is an endpoint that has answered its probe.
type probed struct {
	watch *watch
	id    string
}

func newInbox() *inbox {
	return &inbox{
		bell:    make(chan struct{}, 1),
		reports: map[*watch]report{},
		proven:  map[probed]time.Time{},
	}
}

func (i *inbox) put(f func()) {
	i.mu.Lock()
	f()
	i.mu.Unlock()
	select {
	case i.bell <- struct{}{}:
	default:
	}
}

// news is all that has come in since the last take.
type news struct {
	config  *config.Config
	reports map[*watch]report
	proven  map[probed]time.Time
}

func (i *inbox) take() news {
	i.mu.Lock()
	defer i.mu.Unlock()
	n := news{i.config, i.reports, i.proven}
	i.config = nil
	i.reports = map[*watch]report{}
	i.proven = map[probed]time.Time{}
	return n
}
