package table

import (
	"sync"
	"time"

	"github.com/weir-gateway/weir/config"
	"github.com/weir-gateway/weir/discovery"
	"github.com/weir-gateway/weir/shaping"
)

// An inbox is where news for the Keeper lands: the newest value for each key,
// and a bell. A sender never blocks and never queues history.
type inbox struct {
	bell chan struct{} // capacity one: there is news

	mu      sync.Mutex // guards all below
	config  *config.Config
	after   []func() // to call when config is the table
	part    *shaping.Part
	routers []Router
	alone   bool
	reports map[*watch]report
	proven  map[probed]time.Time // since when it is known
	doubts  map[doubt]struct{}
	shaken  map[string]struct{} // functions whose endpoints fare otherwise
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

// A doubt is about an endpoint that refused a connection. Its Link may be older
// than the watch.
type doubt struct{ function, id string }

func newInbox() *inbox {
	return &inbox{
		bell:    make(chan struct{}, 1),
		reports: map[*watch]report{},
		proven:  map[probed]time.Time{},
		doubts:  map[doubt]struct{}{},
		shaken:  map[string]struct{}{},
	}
}

// again has a watch's set assembled from what was reported before, if there is
// no newer report.
func (n news) again(w *watch) {
	if _, newer := n.reports[w]; !newer {
		n.reports[w] = report{endpoints: w.reported}
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
	after   []func() // to call when config is the table
	part    *shaping.Part
	routers []Router
	alone   bool
	reports map[*watch]report
	proven  map[probed]time.Time
	doubts  map[doubt]struct{}
	shaken  map[string]struct{}
}

func (i *inbox) take() news {
	i.mu.Lock()
	defer i.mu.Unlock()
	n := news{i.config, i.after, i.part, i.routers, i.alone, i.reports, i.proven, i.doubts, i.shaken}
	i.config, i.after, i.part, i.routers, i.alone = nil, nil, nil, nil, false
	i.reports = map[*watch]report{}
	i.proven = map[probed]time.Time{}
	i.doubts = map[doubt]struct{}{}
	i.shaken = map[string]struct{}{}
	return n
}
