package docker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/moby/moby/client"
	"golang.org/x/sync/errgroup"

	"github.com/weir-gateway/weir/coldstart"
	"github.com/weir-gateway/weir/config"
	"github.com/weir-gateway/weir/discovery"
)

var (
	_ coldstart.Scaler   = (*Platform)(nil)
	_ coldstart.Reporter = (*Platform)(nil)
	_ discovery.Provider = (*Platform)(nil)
)

// patience is how long the engine may take for one step of a start, whoever
// waits for it: one that is broken off could leave a container nobody knows.
const patience = 30 * time.Second

// A Platform raises instances as containers and knows their addresses.
type Platform struct {
	name    string
	gateway string
	log     *slog.Logger
	engine  *client.Client
	board   *discovery.Board
	ctx     context.Context // ends with Run, for what goes on beside it
	cancel  context.CancelFunc
	tried   chan struct{} // closed once the engine was reached, or was not

	mu        sync.Mutex     // guards what follows, and what functions and instances say it guards
	work      sync.WaitGroup // what goes on beside Run; grows only until over
	over      bool
	reached   bool   // the engine's events are heard
	synced    bool   // they were at least once
	away      error  // or why not
	node      string // the engine's name; empty before it has said it
	functions map[string]*function
	failed    func(function string, started time.Time, err error)
	before    *Platform // whose place this one has taken; nil: nobody's, or it has ended
	after     *Platform // that has taken this one's; nil: none has
	retired   bool      // no function is this one's any more

	lingers, letsGo time.Duration // as the constants say, but in tests
}

// A function is what is known of one function.
type function struct {
	name string
	turn chan struct{} // has one in it while instances are raised or chosen to go

	// Guarded by Platform.mu.
	fn        *config.Function // the newest; nil if nobody has named it
	instances []*instance      // oldest first
}

// New makes a Platform under its name in the configuration, for functions as
// they are configured at the start. Nothing happens before Run.
func New(name string, s config.Scaler, functions map[string]*config.Function, log *slog.Logger) (*Platform, error) {
	options := []client.Opt{client.WithUserAgent("weir"), client.FromEnv}
	if s.Host != "" {
		options = []client.Opt{client.WithUserAgent("weir"), client.WithHost(s.Host)}
	}
	engine, err := client.New(options...)
	if err != nil {
		return nil, fmt.Errorf("scaler %q: %w", name, err)
	}
	p := &Platform{
		name:      name,
		gateway:   s.Gateway,
		log:       log.With("scaler", name),
		engine:    engine,
		board:     discovery.NewBoard(),
		tried:     make(chan struct{}),
		functions: map[string]*function{},
		lingers:   lingers,
		letsGo:    letGoAfter,
	}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	for _, fn := range functions {
		if fn.ColdStart.Scaler == name {
			p.functionLocked(fn.Name).fn = fn
		}
	}
	return p, nil
}

// String names the platform in logs and metrics.
func (p *Platform) String() string { return p.name }

// Failed registers who is told of every exit that nobody asked for.
func (p *Platform) Failed(tell func(function string, started time.Time, err error)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.failed = tell
}

// Watch reports the instances of fn that run, from the first word of the engine
// on, until ctx ends.
func (p *Platform) Watch(ctx context.Context, fn *config.Function, report func([]discovery.Endpoint)) error {
	p.mu.Lock()
	f := p.functionLocked(fn.Name)
	f.fn = fn
	synced := p.synced
	p.mu.Unlock()
	if synced {
		p.show(f)
	}
	p.board.Watch(ctx, fn.Name, report)
	return nil
}

// ScaleUp sees to it that at least n containers run, but no more than
// max_scale, and returns when the engine has started them.
func (p *Platform) ScaleUp(ctx context.Context, fn config.Function, n int) error {
	if fn.Docker == nil {
		return coldstart.Terminal(fmt.Errorf("function %q has no docker block", fn.Name))
	}
	f, err := p.begin(ctx, fn.Name)
	if err != nil {
		return err
	}
	defer f.end()
	now := time.Now()
	sleeping, fresh := p.choose(f, fn, min(n, fn.ColdStart.MaxScale), now)
	work := new(errgroup.Group)
	for _, in := range sleeping {
		work.Go(func() error { return p.resume(in) })
	}
	for _, in := range fresh {
		work.Go(func() error { return p.start(in) })
	}
	if err := work.Wait(); err != nil {
		return fmt.Errorf("function %q: %w", fn.Name, err)
	}
	return nil
}

// choose says which paused containers are to run again, and notes those that
// have to be made. What is paused of an older configuration is removed.
func (p *Platform) choose(f *function, fn config.Function, n int, now time.Time) (sleeping, fresh []*instance) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f.fn = &fn
	spec := specOf(fn)
	missing := n - f.live()
	for _, in := range f.instances {
		switch {
		case in.state != paused:
		case in.spec != spec:
			p.removeLocked(in)
		case missing > 0:
			in.state, in.since = starting, now
			sleeping = append(sleeping, in)
			missing--
		}
	}
	for ; missing > 0; missing-- {
		in := newInstance(f, fn, spec, now)
		f.instances = append(f.instances, in)
		fresh = append(fresh, in)
	}
	return sleeping, fresh
}

// ScaleDown stops the newest containers beyond n and returns when all that are
// to go are gone. With idle_mode pause or throttle those that run are put in reserve.
func (p *Platform) ScaleDown(ctx context.Context, fn config.Function, n int) error {
	over, err := p.mayStop(ctx)
	if over || err != nil {
		return err
	}
	f, err := p.begin(ctx, fn.Name)
	if err != nil {
		return err
	}
	going := p.surplus(f, fn, max(n, 0))
	p.show(f)
	p.pauseAll(f, fn.ColdStart.IdleMode == "throttle")
	f.end()
	for _, in := range going {
		select {
		case <-in.gone:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// surplus sends off what is beyond n, and returns all that are on their way out.
func (p *Platform) surplus(f *function, fn config.Function, n int) (going []*instance) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, in := range slices.Clone(f.instances) {
		switch {
		case in.state.live() && n > 0:
			n--
		case in.state == running && fn.ColdStart.KeepsIdle():
			in.state = pausing
		case in.state.live(), in.state == paused && !fn.ColdStart.KeepsIdle():
			p.removeLocked(in)
		}
		if in.state == leaving {
			going = append(going, in)
		}
	}
	return going
}

// pauseAll puts in reserve what is out of the set for it.
func (p *Platform) pauseAll(f *function, throttle bool) {
	p.mu.Lock()
	var going []*instance
	for _, in := range f.instances {
		if in.state == pausing {
			going = append(going, in)
		}
	}
	p.mu.Unlock()
	var work sync.WaitGroup
	for _, in := range going {
		work.Go(func() { p.pause(in, throttle) })
	}
	work.Wait()
}

// Replicas tells how many containers run, or are about to.
func (p *Platform) Replicas(ctx context.Context, fn config.Function) (int, error) {
	f, err := p.begin(ctx, fn.Name)
	if err != nil {
		return 0, err
	}
	defer f.end()
	p.mu.Lock()
	defer p.mu.Unlock()
	return f.live(), nil
}

// begin waits for the function's turn, and makes sure that the engine is there.
func (p *Platform) begin(ctx context.Context, name string) (*function, error) {
	select {
	case <-p.tried:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	p.mu.Lock()
	f, reached, away := p.functionLocked(name), p.reached, p.away
	p.mu.Unlock()
	if !reached {
		return nil, fmt.Errorf("function %q: the engine cannot be reached: %w", name, away)
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	select {
	case f.turn <- struct{}{}:
		return f, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (f *function) end() { <-f.turn }

func (p *Platform) functionLocked(name string) *function {
	f := p.functions[name]
	if f == nil {
		f = &function{name: name, turn: make(chan struct{}, 1)}
		p.functions[name] = f
	}
	return f
}

// besideLocked does something beside the caller, unless Run has ended.
func (p *Platform) besideLocked(do func()) {
	if !p.over {
		p.work.Go(do)
	}
}

// live counts the instances that run, or are about to.
func (f *function) live() (n int) {
	for _, in := range f.instances {
		if in.state.live() {
			n++
		}
	}
	return n
}

// show puts what runs on the board, and returns when it was told.
func (p *Platform) show(f *function) {
	p.board.Show(f.name, func() []discovery.Endpoint { return p.setOf(f) })
}

func (p *Platform) setOf(f *function) []discovery.Endpoint {
	p.mu.Lock()
	defer p.mu.Unlock()
	slots := 0
	if f.fn != nil {
		slots = f.fn.ColdStart.Concurrency
	}
	set := []discovery.Endpoint{}
	for _, in := range f.instances {
		if in.state == running && in.addr != "" && (in.proven || !in.published) {
			set = append(set, discovery.Endpoint{ID: in.name, Addr: in.addr, Node: p.node, Weight: 1, Slots: slots, Unproven: !in.proven})
		}
	}
	return set
}

var errEnded = errors.New("weir is ending")
