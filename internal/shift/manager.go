package shift

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/weir-gateway/weir/config"
	"github.com/weir-gateway/weir/config/layers"
)

// most is how many Shifts are remembered; of those that have ended the oldest goes
// first.
const most = 100

// Layers is what a Manager asks of a layers.Stack.
type Layers interface {
	PutAll(values map[string]json.RawMessage, w layers.Wish, tag string) error
	Overrides() (list []layers.Override, tag string)
	Tag() string
}

// Parts are what a Manager is made of.
type Parts struct {
	Layers Layers
	// Config is the one that stands.
	Config func() *config.Config
	// Tally counts the calls of a function that have ended, "" is of all, and those of
	// them that failed.
	Tally func(function string) (calls, failed int64)
	Log   *slog.Logger
}

// A Manager carries out Shifts. Safe for concurrent use.
type Manager struct {
	Parts

	mu     sync.Mutex
	ctx    context.Context // of Run; nil before and after
	work   sync.WaitGroup
	shifts []*Shift // as they were ordered
	last   int
}

// New makes a Manager, which takes orders while it runs.
func New(p Parts) *Manager { return &Manager{Parts: p} }

// Run carries out what is ordered until ctx ends.
func (m *Manager) Run(ctx context.Context) error {
	m.mu.Lock()
	m.ctx = ctx
	m.mu.Unlock()
	<-ctx.Done()
	m.mu.Lock()
	m.ctx = nil
	m.mu.Unlock()
	m.work.Wait()
	return nil
}

// Start begins a Shift, or refuses to.
func (m *Manager) Start(o Order) (Status, error) {
	now := time.Now()
	if err := o.check(now); err != nil {
		return Status{}, err
	}
	from, err := weightsOf(m.Config(), o)
	if err != nil {
		return Status{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.ctx == nil {
		return Status{}, &Refusal{Conflict, "weir does not take calls yet, or no longer."}
	}
	for _, other := range m.shifts {
		if other.Function == o.Function && !other.over() {
			return Status{}, &Refusal{Conflict, fmt.Sprintf("Shift %s of the same regions is %s; cancel it first.", other.ID, other.State)}
		}
	}
	if len(m.shifts) >= most {
		i := slices.IndexFunc(m.shifts, func(s *Shift) bool { return s.over() })
		if i < 0 {
			return Status{}, &Refusal{Conflict, fmt.Sprintf("There are %d shifts under way.", len(m.shifts))}
		}
		m.shifts = slices.Delete(m.shifts, i, i+1)
	}
	m.last++
	s := &Shift{Status: Status{ID: strconv.Itoa(m.last), Order: o, State: Scheduled, From: from, Now: from}, m: m, knock: make(chan struct{}, 1)}
	m.shifts = append(m.shifts, s)
	m.Log.Info("shift ordered", s.words("author", o.Author, "reason", o.Reason)...)
	ctx := m.ctx
	m.work.Go(func() { s.run(ctx) })
	return s.Status, nil
}

// List returns all that are remembered, the newest first.
func (m *Manager) List() []Status {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := make([]Status, 0, len(m.shifts))
	for _, s := range slices.Backward(m.shifts) {
		out = append(out, s.Status)
	}
	return out
}

// Get returns one of them.
func (m *Manager) Get(id string) (Status, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s, err := m.find(id)
	if err != nil {
		return Status{}, err
	}
	return s.Status, nil
}

// Steer cancels a Shift, pauses it, has it go on or back: what is cancel, pause, resume
// or rollback.
func (m *Manager) Steer(id, what, author, reason string) (Status, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s, err := m.find(id)
	if err != nil {
		return Status{}, err
	}
	if s.over() {
		return s.Status, &Refusal{Conflict, fmt.Sprintf("Shift %s is %s.", id, s.State)}
	}
	cause := what + " by " + cmp.Or(author, "somebody")
	if reason != "" {
		cause += ": " + reason
	}
	switch what {
	case "cancel":
		s.set(Canceled, cause)
	case "pause", "resume":
		if have := map[string]string{"pause": Running, "resume": Paused}[what]; s.State != have {
			return s.Status, &Refusal{Conflict, fmt.Sprintf("Shift %s is %s, not %s.", id, s.State, have)}
		}
		s.set(map[string]string{"pause": Paused, "resume": Running}[what], cause)
	case "rollback":
		s.set(goingBack, cause)
	default:
		return s.Status, &Refusal{Invalid, fmt.Sprintf("A shift can be told to cancel, pause, resume or rollback, not %q.", what)}
	}
	s.ring()
	return s.Status, nil
}

func (m *Manager) find(id string) (*Shift, error) {
	for _, s := range m.shifts {
		if s.ID == id {
			return s, nil
		}
	}
	return nil, &Refusal{NotFound, fmt.Sprintf("There is no shift %q.", id)}
}

// weightsOf are the weights that the regions of an Order have now.
func weightsOf(cfg *config.Config, o Order) (map[string]float64, error) {
	regions := cfg.Regions
	if o.Function != "" {
		if _, known := cfg.Functions[o.Function]; !known {
			return nil, &Refusal{NotFound, fmt.Sprintf("There is no function %q.", o.Function)}
		}
		regions = cfg.SpreadOf(o.Function).Regions
	}
	now := map[string]float64{}
	for _, name := range slices.Sorted(maps.Keys(o.To)) {
		r, known := regions[name]
		if !known {
			return nil, &Refusal{Invalid, fmt.Sprintf("There is no region %q in the configuration.", name)}
		}
		now[name] = r.Weight
	}
	return now, nil
}
