package webhook

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weir-gateway/weir/coldstart"
	"github.com/weir-gateway/weir/config"
	"github.com/weir-gateway/weir/discovery"
)

var (
	_ coldstart.Scaler   = (*Platform)(nil)
	_ coldstart.Reporter = (*Platform)(nil)
	_ discovery.Provider = (*Platform)(nil)
)

// A Platform has instances raised by whoever answers at a URL.
type Platform struct {
	name     string
	settings atomic.Pointer[config.Scaler] // never changed; exchanged by Configure
	log      *slog.Logger
	client   *http.Client
	board    *discovery.Board

	mu        sync.Mutex // guards what follows, and what functions say it guards
	functions map[string]*function
	failed    func(function string, started time.Time, err error)
}

// New makes a Platform under its name in the configuration.
func New(name string, s config.Scaler, log *slog.Logger) (*Platform, error) {
	if err := Check(name, s); err != nil {
		return nil, err
	}
	p := &Platform{
		name:      name,
		log:       log.With("scaler", name),
		board:     discovery.NewBoard(),
		functions: map[string]*function{},
		client: &http.Client{
			Transport: &http.Transport{
				Proxy:               http.ProxyFromEnvironment,
				MaxIdleConnsPerHost: 8,
				IdleConnTimeout:     time.Minute,
			},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
	p.Configure(s)
	return p, nil
}

// Check says why a Platform cannot have settings now: its token cannot be read.
func Check(name string, s config.Scaler) error {
	if _, err := secretIn(s.TokenFile); err != nil {
		return fmt.Errorf("scaler %q: %w", name, err)
	}
	return nil
}

// Configure changes the settings, for the requests that come from now on.
func (p *Platform) Configure(s config.Scaler) { p.settings.Store(&s) }

// String names the platform in logs and metrics.
func (p *Platform) String() string { return p.name }

// Failed registers who is told of instances that ended unasked.
func (p *Platform) Failed(tell func(function string, started time.Time, err error)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.failed = tell
}

// Run holds connections to the platform until ctx ends. Instances live on.
func (p *Platform) Run(ctx context.Context) error {
	<-ctx.Done()
	p.client.CloseIdleConnections()
	return nil
}

// ScaleUp asks the platform for at least n instances and returns when it has
// taken note. Which they are is in its answer, or is told or asked later.
func (p *Platform) ScaleUp(ctx context.Context, fn config.Function, n int) error {
	f := p.function(fn.Name)
	if err := f.begin(ctx); err != nil {
		return err
	}
	defer f.end()
	n = min(n, fn.ColdStart.MaxScale)
	if !coldstart.Repeated(ctx) {
		p.await(f, n, fn.ColdStart.StartTimeout) // even if the answer gets lost
	}
	ans, err := p.ask(ctx, f, fn, "ensure", n)
	if err != nil {
		if coldstart.IsTerminal(err) {
			p.await(f, 0, 0)
		}
		return err
	}
	if ans.old { // what there is by now is in the list that is asked for meanwhile
		return nil
	}
	return p.learn(f, ans, ensured(n))
}

// ScaleDown asks the platform for at most n and returns when it has answered.
func (p *Platform) ScaleDown(ctx context.Context, fn config.Function, n int) error {
	f := p.function(fn.Name)
	if err := f.begin(ctx); err != nil {
		return err
	}
	defer f.end()
	n = max(n, 0)
	p.await(f, 0, 0)
	p.limiting(f, true)
	defer p.limiting(f, false)
	ans, err := p.ask(ctx, f, fn, "limit", n)
	if err != nil {
		return err
	}
	return p.learn(f, ans, limited(n))
}

// Replicas asks the platform how many it has.
func (p *Platform) Replicas(ctx context.Context, fn config.Function) (int, error) {
	f := p.function(fn.Name)
	if err := f.begin(ctx); err != nil {
		return 0, err
	}
	defer f.end()
	return p.list(ctx, f, fn)
}

// list asks the platform which instances there are.
func (p *Platform) list(ctx context.Context, f *function, fn config.Function) (int, error) {
	ans, err := p.ask(ctx, f, fn, "list", 0)
	if err != nil {
		return 0, err
	}
	if err := p.learn(f, ans, listed); err != nil {
		return 0, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(f.known), nil
}

// ask sends a wish about a function.
func (p *Platform) ask(ctx context.Context, f *function, fn config.Function, action string, n int) (answer, error) {
	w := wish{
		Version: 1, Action: action, Function: fn.Name, Instances: n,
		MaxScale: fn.ColdStart.MaxScale, IdleMode: fn.ColdStart.IdleMode, Settings: fn.Webhook,
	}
	if secret, err := p.secret(); err == nil && secret != nil && p.settings.Load().CallbackURL != "" {
		w.Callback = &callback{
			URL:   strings.TrimSuffix(p.settings.Load().CallbackURL, "/") + "/api/v1/functions/" + url.PathEscape(fn.Name),
			Token: tokenOf(secret, fn.Name),
		}
	}
	ans, err := p.send(ctx, f, w)
	if err != nil && !errors.Is(err, ctx.Err()) {
		err = fmt.Errorf("function %q: %w", fn.Name, err)
	}
	return ans, err
}

// Watch reports the instances of fn: at first those that are there already,
// then as they come and go. It asks the platform while instances are expected
// or there.
func (p *Platform) Watch(ctx context.Context, fn *config.Function, report func([]discovery.Endpoint)) error {
	f := p.function(fn.Name)
	p.mu.Lock()
	f.slots = fn.ColdStart.Concurrency
	p.mu.Unlock()
	var work sync.WaitGroup
	defer work.Wait()
	work.Go(func() { p.look(ctx, f, fn) })
	p.board.Watch(ctx, fn.Name, report)
	return nil
}

// look asks the platform again and again, as often as makes sense.
func (p *Platform) look(ctx context.Context, f *function, fn *config.Function) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for unknown, silent := true, false; ; { // unknown: it has never answered
		select {
		case <-ctx.Done():
			return
		case <-f.expected:
		case <-timer.C:
			err := f.begin(ctx)
			if err == nil {
				_, err = p.list(ctx, f, *fn)
				f.end()
			}
			if err != nil && ctx.Err() == nil && !silent {
				p.log.Warn("cannot ask which instances there are", "function", fn.Name, "error", err.Error())
			}
			silent = err != nil
			unknown = unknown && silent
		}
		switch d := p.again(f); {
		case d > 0:
			timer.Reset(d)
		case unknown && !silent:
			timer.Reset(0)
		case silent:
			timer.Reset(p.settings.Load().Refresh)
		default:
			timer.Stop()
		}
	}
}

func (p *Platform) function(name string) *function {
	p.mu.Lock()
	defer p.mu.Unlock()
	f := p.functions[name]
	if f == nil {
		f = &function{name: name, turn: make(chan struct{}, 1), expected: make(chan struct{}, 1)}
		p.functions[name] = f
	}
	return f
}
