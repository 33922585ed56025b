package bench

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"text/template"
	"time"
)

//go:embed peers
var peerFiles embed.FS

// A peer is a proxy that can be compared, with the configuration that has it
// do what weir does.
type peer struct {
	name  string
	files []string
	args  func(dir string) []string
}

var peers = []peer{
	{"weir", []string{"weir.yaml"}, func(dir string) []string { return []string{"run", "-c", dir + "/weir.yaml"} }},
	{"nginx", []string{"nginx.conf"}, func(dir string) []string {
		return []string{"-p", dir, "-c", dir + "/nginx.conf", "-e", dir + "/nginx.log"}
	}},
	{"haproxy", []string{"haproxy.cfg"}, func(dir string) []string { return []string{"-db", "-f", dir + "/haproxy.cfg"} }},
	{"caddy", []string{"caddy.json"}, func(dir string) []string { return []string{"run", "--config", dir + "/caddy.json"} }},
	{"traefik", []string{"traefik.yaml", "traefik-routes.yaml"}, func(dir string) []string { return []string{"--configFile=" + dir + "/traefik.yaml"} }},
	{"fabio", []string{"fabio.properties"}, func(dir string) []string { return []string{"-cfg", dir + "/fabio.properties"} }},
}

// Peers are the names that Compare knows, without weir.
func Peers() (names []string) {
	for _, p := range peers[1:] {
		names = append(names, p.name)
	}
	return names
}

// A Contest is what Compare is to do.
type Contest struct {
	Weir        string   // path of the binary
	With        []string // peers
	Rounds      int
	Cores       int           // each proxy may use
	Connections int           // of the closed loop
	Rate        float64       // of the open loop
	Length      time.Duration // of each half of a round
	Crowd       int           // connections and calls of the measure of memory, 0: none
}

// connections are the most that a proxy gets to see.
func (c Contest) connections() int { return max(c.Crowd, c.Connections) }

// A runner is a proxy that has started.
type runner struct {
	*program
	url  string
	kept *Standing
}

// Compare starts weir and its peers in front of one endpoint, and measures them
// in turn. Whoever is not installed is named and left out.
func Compare(ctx context.Context, c Contest, told func(string)) (*Comparison, error) {
	dir, err := os.MkdirTemp("", "weir-bench-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	// Proxies inherit the limit, and a held call takes two of their descriptors.
	asked, held := c.Crowd, c.Crowd
	for needFiles(2*held+3000) != nil && held > 1000 {
		held -= 1000
	}
	for needFiles(c.connections()+3000) != nil && c.Crowd > held {
		c.Crowd -= 1000
	}
	upstream, err := freePort()
	if err != nil {
		return nil, err
	}
	endpoint, err := startProgram(ctx, "the endpoint", upstream, nil, c.Weir, "bench", "endpoint", "--listen", upstream)
	if err != nil {
		return nil, err
	}
	defer endpoint.stop()
	result := &Comparison{Began: time.Now(), Rounds: c.Rounds,
		Load: fmt.Sprintf("13-byte answers; %d rounds of %s in a closed loop on %d connections and %s at %g/s; %d core(s) for each proxy", c.Rounds, c.Length, c.Connections, c.Length, c.Rate, c.Cores)}
	runners := []*runner{{url: "http://" + upstream + "/", kept: &Standing{Name: "direct"}}}
	for _, p := range peers {
		if p.name != "weir" && !slices.Contains(c.With, p.name) {
			continue
		}
		r, err := p.start(ctx, filepath.Join(dir, p.name), upstream, c)
		if errors.Is(err, exec.ErrNotFound) {
			result.Missing = append(result.Missing, p.name)
			continue
		}
		if err != nil {
			return nil, err
		}
		defer r.stop()
		runners = append(runners, r)
	}
	for i := range c.Rounds {
		for j := range runners { // each round begins with another one
			r := runners[(i+j)%len(runners)]
			if err := r.round(ctx, c); err != nil {
				return nil, fmt.Errorf("round %d, %s: %w", i+1, r.kept.Name, err)
			}
			told(fmt.Sprintf("round %d of %d: %s", i+1, c.Rounds, r.kept.latest()))
		}
	}
	if c.Crowd > 0 {
		for _, r := range runners[1:] {
			if err := r.crowd(ctx, c.Crowd, held); ctx.Err() != nil {
				return nil, ctx.Err()
			} else if err != nil {
				result.Notes = append(result.Notes, fmt.Sprintf("memory of %s could not be measured: %s", r.kept.Name, err))
			}
			told(fmt.Sprintf("memory of %s measured", r.kept.Name))
		}
	}
	result.Crowd, result.Held = c.Crowd, held
	if held < asked {
		result.Notes = append(result.Notes, fmt.Sprintf("a crowd of %d idle and %d held, not %d: the limit of file descriptors does not allow more", c.Crowd, held, asked))
	}
	for _, r := range runners {
		result.Standings = append(result.Standings, r.kept)
	}
	result.rank()
	return result, nil
}

func (p peer) start(ctx context.Context, dir, upstream string, c Contest) (*runner, error) {
	path := c.Weir
	if p.name != "weir" {
		var err error
		if path, err = exec.LookPath(p.name); err != nil {
			return nil, err
		}
	}
	listen, err := freePort()
	if err != nil {
		return nil, err
	}
	admin, err := freePort()
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	for _, name := range p.files {
		t, err := template.ParseFS(peerFiles, "peers/"+name)
		if err != nil {
			return nil, err
		}
		var text strings.Builder
		err = t.Execute(&text, map[string]any{"Listen": listen, "Upstream": upstream, "Admin": admin, "Dir": dir, "Cores": c.Cores, "Connections": c.connections() + 100, "Both": 2*c.connections() + 2800})
		if err != nil {
			return nil, err
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text.String()), 0o600); err != nil {
			return nil, err
		}
	}
	env := []string{fmt.Sprintf("GOMAXPROCS=%d", c.Cores), "HOME=" + dir}
	program, err := startProgram(ctx, p.name, listen, env, append([]string{path}, p.args(dir)...)...)
	if err != nil {
		return nil, err
	}
	return &runner{program: program, url: "http://" + listen + "/", kept: &Standing{Name: p.name, Idle: program.memory()}}, nil
}

// round measures once: what a call costs when there is as much to do as can be
// done, and what it adds to a call when there is not.
func (r *runner) round(ctx context.Context, c Contest) error {
	warm := c.Length / 5
	full := Load{URL: r.url, Connections: c.Connections, Duration: c.Length, Warmup: warm}
	var before, after time.Duration
	var err error
	if r.program != nil {
		if before, err = r.cpu(); err != nil {
			return err
		}
	}
	closed, err := r.run(ctx, full)
	if err != nil {
		return err
	}
	if r.program != nil {
		if after, err = r.cpu(); err != nil {
			return err
		}
	}
	open, err := r.run(ctx, Load{URL: r.url, Connections: c.Connections, Duration: c.Length, Warmup: warm, Steps: []Step{{c.Rate, c.Rate, c.Length}}, Poisson: true, Seed: 1})
	if err != nil {
		return err
	}
	s := r.kept
	s.CPU = append(s.CPU, float64(after-before)/float64(time.Microsecond)/float64(closed.Calls+closed.Warmup))
	s.Rate = append(s.Rate, closed.Rate)
	s.P50 = append(s.P50, micros(open.Corrected.P50))
	s.P99 = append(s.P99, micros(open.Corrected.P99))
	s.P999 = append(s.P999, micros(open.Corrected.P999))
	return nil
}

func micros(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

func (r *runner) run(ctx context.Context, l Load) (*Report, error) {
	report, err := Run(ctx, l, nil)
	switch {
	case err != nil:
		return nil, err
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case report.Died:
		return nil, errors.New("it died")
	case report.FailedRatio() > 0.001:
		return nil, fmt.Errorf("%d of %d calls failed (%v, %v): no figure of it would be honest", report.Failed, report.Calls, report.Outcomes, report.Statuses)
	}
	return report, nil
}

// crowd looks at the memory with many connections that idle, and with many
// calls that are held by the endpoint.
func (r *runner) crowd(ctx context.Context, idle, holding int) error {
	quiet := Load{URL: r.url, Connections: idle, Duration: 3 * time.Second, Steps: []Step{{10, 10, 3 * time.Second}}}
	at, err := r.watched(ctx, quiet)
	if err != nil {
		return err
	}
	r.kept.Idlers = at
	held := Load{URL: r.url + "hold?ms=8000", Connections: holding, Count: int64(holding), Duration: time.Minute, Timeout: time.Minute}
	if at, err = r.watched(ctx, held); err != nil {
		return err
	}
	r.kept.Held = at
	return nil
}

// watched runs a load and gives the most memory that was seen meanwhile.
func (r *runner) watched(ctx context.Context, l Load) (most int64, err error) {
	done := make(chan error, 1)
	go func() {
		_, err := r.run(ctx, l)
		done <- err
	}()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case err := <-done:
			return most, err
		case <-tick.C:
			most = max(most, r.memory())
		}
	}
}

// A Standing is what one proxy did, round by round.
type Standing struct {
	Name   string    `json:"name"`
	CPU    []float64 `json:"cpu_us"` // of the proxy, a call, µs; closed loop
	Rate   []float64 `json:"rate"`   // calls a second; closed loop
	P50    []float64 `json:"p50_us"` // open loop
	P99    []float64 `json:"p99_us"`
	P999   []float64 `json:"p99.9_us"`
	Idle   int64     `json:"idle_bytes"` // memory, just started
	Idlers int64     `json:"idlers_bytes,omitempty"`
	Held   int64     `json:"held_bytes,omitempty"`
	Ratio  Ratio     `json:"cpu_ratio"` // weir's CPU a call over this one's, in the same round
}

// A Ratio is the median of those of the rounds, with their spread.
type Ratio struct {
	Median float64 `json:"median"`
	Low    float64 `json:"low"`
	High   float64 `json:"high"`
}

func (s *Standing) latest() string {
	last := func(x []float64) float64 { return x[len(x)-1] }
	return fmt.Sprintf("%s %.1f µs of CPU a call, %.0f calls/s, p50 %.0f µs, p99 %.0f µs", s.Name, last(s.CPU), last(s.Rate), last(s.P50), last(s.P99))
}

// rank works out the ratios to weir.
func (c *Comparison) rank() {
	i := slices.IndexFunc(c.Standings, func(s *Standing) bool { return s.Name == "weir" })
	weir := c.Standings[i]
	for _, s := range c.Standings {
		if s.Name == "direct" {
			continue
		}
		ratios := make([]float64, len(s.CPU))
		for i := range ratios {
			ratios[i] = weir.CPU[i] / s.CPU[i]
		}
		s.Ratio = Ratio{median(ratios), slices.Min(ratios), slices.Max(ratios)}
	}
}

// added is the median of what a proxy adds to the direct way, in one round.
func added(proxy, direct []float64) float64 {
	d := make([]float64, len(proxy))
	for i := range d {
		d[i] = proxy[i] - direct[i]
	}
	return math.Round(median(d))
}
