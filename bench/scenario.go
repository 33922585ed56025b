package bench

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
)

//go:embed scenarios
var scenarioFiles embed.FS

// A Scenario is a story with an end that is good or not: what weir is started
// with, what happens to it, and what may come of it.
type Scenario struct {
	name  string
	About string `yaml:"about"`

	Endpoints []EndpointPlan `yaml:"endpoints"`
	Function  map[string]any `yaml:"function"` // settings of weir for it, as in its configuration
	Regions   map[string]any `yaml:"regions"`  // and for all of them
	Failover  map[string]any `yaml:"failover"`
	Load      LoadPlan       `yaml:"load"`
	Events    []Event        `yaml:"events"`

	Cold *ColdPlan `yaml:"cold"` // functions at zero instead of endpoints
	Knee *KneePlan `yaml:"knee"` // rates are doubled until one is too many

	Thresholds Thresholds `yaml:"thresholds"`
}

// An EndpointPlan is an endpoint and how it behaves.
type EndpointPlan struct {
	Name        string        `yaml:"name"`
	Region      string        `yaml:"region"`
	Delay       time.Duration `yaml:"delay"`
	SlowPercent float64       `yaml:"slow_percent"`
	Slow        time.Duration `yaml:"slow"`
	BadPercent  float64       `yaml:"bad_percent"` // resets, garbage, half answers, none
}

// A LoadPlan is the load in words of the file; what is not said is as on the
// command line.
type LoadPlan struct {
	Rate          string        `yaml:"rate"`
	Poisson       bool          `yaml:"poisson"`
	Connections   int           `yaml:"connections"`
	PerConnection int           `yaml:"per_connection"`
	Warmup        time.Duration `yaml:"warmup"`
	Duration      time.Duration `yaml:"duration"`
	Timeout       time.Duration `yaml:"timeout"`
	ShareBy       string        `yaml:"share_by"`
	Kinds         []KindPlan    `yaml:"kinds"`
}

// A KindPlan is one kind of call of a mix.
type KindPlan struct {
	Name   string            `yaml:"name"`
	Method string            `yaml:"method"`
	Path   string            `yaml:"path"`
	Header map[string]string `yaml:"header"`
	Body   string            `yaml:"body"`
	Weight int               `yaml:"weight"`
}

// An Event happens to an endpoint, or to a region, at a time of the measurement.
type Event struct {
	At      time.Duration `yaml:"at"`
	Kill    string        `yaml:"kill"`
	Back    string        `yaml:"back"`
	Drain   string        `yaml:"drain"`
	Undrain string        `yaml:"undrain"`
}

// A ColdPlan is functions that do not run, each called at once by a number of
// callers, as often as there are cycles: in between it goes back to zero.
type ColdPlan struct {
	Functions int           `yaml:"functions"`
	Cycles    int           `yaml:"cycles"` // 0 is 1
	Boot      time.Duration `yaml:"boot"`
	Calls     int           `yaml:"calls"`
}

// A KneePlan is where to look for the rate at which p99 breaks.
type KneePlan struct {
	From float64       `yaml:"from"`
	To   float64       `yaml:"to"`
	P99  time.Duration `yaml:"p99"`
}

// Thresholds make the exit code. One that is not said is not looked at.
type Thresholds struct {
	FailedPercent       *float64      `yaml:"failed_percent"`
	P50                 time.Duration `yaml:"p50"`
	P99                 time.Duration `yaml:"p99"`
	P999                time.Duration `yaml:"p99_9"`
	Garbage             *int64        `yaml:"garbage"`
	Starts              *int64        `yaml:"starts"` // of instances, at most
	Knee                float64       `yaml:"knee"`   // calls a second, at least
	MemoryGrowthPercent *float64      `yaml:"memory_growth_percent"`
	GoroutineGrowth     *float64      `yaml:"goroutine_growth"`
	Rejoins             bool          `yaml:"rejoins"` // every endpoint serves again in the last second
	Shares              []ShareOf     `yaml:"shares"`
}

// A ShareOf is the part of the answers that a region's endpoints are to have given
// between two times of the measurement, in percent, and by how many points it may
// differ. Both times are whole seconds.
type ShareOf struct {
	Region  string        `yaml:"region"`
	From    time.Duration `yaml:"from"`
	To      time.Duration `yaml:"to"`
	Percent float64       `yaml:"percent"`
	Within  float64       `yaml:"within"`
}

// Scenarios are the names of those that are built in.
func Scenarios() (names []string) {
	files, err := fs.Glob(scenarioFiles, "scenarios/*.yaml")
	if err != nil {
		panic("BUG: " + err.Error())
	}
	for _, f := range files {
		names = append(names, strings.TrimSuffix(path.Base(f), ".yaml"))
	}
	return names
}

// ReadScenario reads one that is built in, or a file.
func ReadScenario(name string) (*Scenario, error) {
	if slices.Contains(Scenarios(), name) {
		text, err := scenarioFiles.ReadFile("scenarios/" + name + ".yaml")
		if err != nil {
			return nil, err
		}
		return ParseScenario(name, text)
	}
	text, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("there is no file %s, and no scenario of that name; built in are %s", name, strings.Join(Scenarios(), ", "))
	}
	if err != nil {
		return nil, err
	}
	return ParseScenario(strings.TrimSuffix(path.Base(name), path.Ext(name)), text)
}

// ParseScenario reads a document, in which a key that is not known or given
// twice is an error with its line.
func ParseScenario(name string, text []byte) (*Scenario, error) {
	s := &Scenario{name: name}
	if err := yaml.NewDecoder(bytes.NewReader(text), yaml.Strict(), yaml.DisallowUnknownField()).Decode(s); err != nil {
		return nil, fmt.Errorf("scenario %s: %s", name, yaml.FormatError(err, false, true))
	}
	if err := s.check(); err != nil {
		return nil, fmt.Errorf("scenario %s: %w", name, err)
	}
	return s, nil
}

func (s *Scenario) check() error {
	names, regions := map[string]bool{}, map[string]bool{}
	for i, e := range s.Endpoints {
		switch {
		case e.Name == "" || names[e.Name]:
			return fmt.Errorf("endpoints[%d]: %q is no name of its own", i, e.Name)
		case e.SlowPercent < 0 || e.SlowPercent > 100 || e.BadPercent < 0 || e.BadPercent > 100:
			return fmt.Errorf("endpoints[%d]: a percentage is not between 0 and 100", i)
		case e.Delay < 0 || e.Slow < 0:
			return fmt.Errorf("endpoints[%d]: a delay is less than nothing", i)
		}
		names[e.Name], regions[e.Region] = true, true
	}
	for i, e := range s.Events {
		said := 0
		for _, what := range []string{e.Kill, e.Back, e.Drain, e.Undrain} {
			if what != "" {
				said++
			}
		}
		known := names[e.Kill+e.Back] || e.Drain+e.Undrain != "" && regions[e.Drain+e.Undrain]
		if said != 1 || !known {
			return fmt.Errorf("events[%d]: want kill or back, with the name of an endpoint, or drain or undrain, with that of a region of one", i)
		}
		if i > 0 && e.At < s.Events[i-1].At {
			return fmt.Errorf("events[%d]: %s is before the event above it", i, e.At)
		}
	}
	for i, share := range s.Thresholds.Shares {
		if !regions[share.Region] || share.From < 0 || share.To <= share.From || share.From%time.Second+share.To%time.Second != 0 {
			return fmt.Errorf("thresholds.shares[%d]: want the region of an endpoint, and from and to in whole seconds, the earlier first", i)
		}
	}
	switch {
	case (s.Cold == nil) == (len(s.Endpoints) == 0):
		return errors.New("want either endpoints or cold")
	case s.Cold != nil && (s.Cold.Functions < 1 || s.Cold.Functions > 1000 || s.Cold.Calls < 1 || s.Cold.Calls > 20000):
		return errors.New("cold: want 1 to 1000 functions and 1 to 20000 calls of each")
	case s.Cold != nil && (s.Cold.Cycles < 0 || s.Cold.Cycles > 1000):
		return errors.New("cold: want 1 to 1000 cycles")
	case s.Knee != nil && (s.Knee.From <= 0 || s.Knee.To < s.Knee.From || s.Knee.P99 <= 0):
		return errors.New("knee: want from, to and p99, from the smaller rate")
	}
	return nil
}

func (p LoadPlan) load(url string) (Load, error) {
	l := Load{URL: url, Poisson: p.Poisson, Connections: p.Connections, PerConn: p.PerConnection, Warmup: p.Warmup, Duration: p.Duration,
		Timeout: p.Timeout, ShareBy: strings.ToLower(p.ShareBy), Seed: 1}
	if l.Duration == 0 {
		l.Duration = 10 * time.Second
	}
	for _, k := range p.Kinds {
		l.Kinds = append(l.Kinds, Kind{Name: k.Name, Method: k.Method, URL: k.Path, Header: k.Header, Body: []byte(k.Body), Weight: k.Weight})
	}
	if p.Rate == "" {
		return l, nil
	}
	var err error
	l.Steps, err = ParseRate(p.Rate, l.Duration)
	return l, err
}
