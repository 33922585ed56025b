package config

import (
	"maps"
	"reflect"
	"slices"
	"weak"
)

// A based is the Config that files make without anything over them. One of
// theirs with something over them has most in common with it, and keeps it;
// when none does, it may go.
type based struct {
	cfg      *Config
	document *document
}

// ownKeys are the keys of a function that nothing beside the function depends
// on, neither its completion nor its checks.
var ownKeys = []string{"circuit_breaker", "collapse", "concurrency", "deadline", "endpoints", "outlier_detection", "regions", "retries", "timeouts", "upstream"}

// mostAnew is how many functions are read anew for it to be worth it.
const mostAnew = 32

// steered are the keys of a region that nothing depends on but how the calls of
// functions are divided.
var steered = []string{"drain", "disabled", "weight", "priority"}

// readAnew are the functions that what is over the files is about, and whether it is
// about regions, if it is about nothing else and nothing else depends on it.
func readAnew(over []Fragment) (names []string, regions, ok bool) {
	for _, o := range over {
		switch {
		case len(o.Path) == 3 && o.Path[0] == "regions" && slices.Contains(steered, o.Path[2]):
			regions = true
		case len(o.Path) < 3 || o.Path[0] != "functions" || !slices.Contains(ownKeys, o.Path[2]):
			return nil, false, false
		case !slices.Contains(names, o.Path[1]):
			names = append(names, o.Path[1])
		}
	}
	return names, regions, len(names) <= mostAnew
}

// buildUpon is build for what is over a few functions and regions: only those are read,
// completed and checked, so that a change costs what changes. It returns nil where
// that cannot be, also where there are mistakes: those are build's to tell.
func (f *Files) buildUpon(over []Fragment) *Config {
	names, regions, ok := readAnew(over)
	if !ok || f.top == nil {
		return nil
	}
	var base *based
	if len(over) > 0 {
		base = f.ground()
	} else { // what stood over the files has been taken back
		base = f.made()
	}
	if base == nil || len(base.cfg.Files) > len(f.Names) {
		return nil // what certificates and keys say now is read each time
	}
	if len(over) == 0 {
		cfg := *base.cfg
		cfg.upon = &upon{ground: base}
		return &cfg
	}
	d := newDocument(append([]*source{}, f.sources...)...)
	d.ground, d.warnings = base, base.document.warnings
	told := len(d.warnings)
	top := f.top
	for i := range over {
		top = d.overlay(top, &over[i])
	}
	if len(d.mistakes) > 0 {
		return nil
	}
	cfg := *base.cfg
	cfg.Hash, cfg.origins, cfg.Files = f.hashWith(over), d, append([]string{}, f.Names...)
	if len(names) > 0 {
		cfg.Functions = maps.Clone(cfg.Functions)
	}
	r := reader{d, f.env, &f.shapes}
	changed := names
	if regions {
		changed = append(changed, r.regionsAnew(top, &cfg)...)
	}
	for _, name := range names {
		if _, known := cfg.Functions[name]; !known {
			return nil
		}
		r.functionAnew(top, name, &cfg)
	}
	if len(d.mistakes) > 0 || len(d.warnings) > told {
		return nil
	}
	cfg.upon = &upon{base, changed}
	return &cfg
}

// regionsAnew reads and checks the regions, and what functions say of them. It names
// the functions that say something.
func (r reader) regionsAnew(top *node, cfg *Config) (speak []string) {
	var root *path
	at := root.key("regions")
	r.anew = append(r.anew, at.String())
	for _, e := range top.entries {
		if e.name == "regions" {
			r.noteEntry(at, e)
			r.value(at, e.value, reflect.ValueOf(&cfg.Regions).Elem())
		}
	}
	c := &checker{cfg, r.document}
	c.regions(at)
	cfg.spread = &Spread{Regions: cfg.Regions, Failover: cfg.Failover}
	for name, fn := range cfg.Functions {
		if len(fn.Regions) > 0 {
			speak = append(speak, name)
		}
	}
	if len(speak) > 0 {
		cfg.Functions = maps.Clone(cfg.Functions)
	}
	for _, name := range speak {
		fn := *cfg.Functions[name] // the files' own Config has it too
		own := root.key("functions").entry(name).key("regions")
		fn.Regions = maps.Clone(fn.Regions)
		completeRegions(cfg, &fn, r.document, own)
		c.functionRegions(own, fn)
		cfg.Functions[name] = &fn
	}
	return speak
}

// functionAnew reads, completes and checks one function.
func (r reader) functionAnew(top *node, name string, cfg *Config) {
	var root *path
	at := root.key("functions").entry(name)
	r.anew = append(r.anew, at.String())
	fn := r.fresh(reflect.TypeFor[Function]())
	for _, e := range top.child("functions").entries {
		if e.name == name && e.value.kind != null {
			r.noteEntry(at, e)
			r.value(at, e.value, fn)
		}
	}
	read := fn.Interface().(Function)
	read.Name = name
	completeFunction(cfg, &read, r.document, at)
	cfg.Functions[name] = &read
	(&checker{cfg, r.document}).function(at, read)
}

// ChangedSince names the functions that may not be what they are in another Config,
// where nothing else of it differs but its Regions, so that SpreadOf says otherwise,
// and what is told of its layers; ok is false if it is not known that nothing else
// does. It costs what has changed.
func (c *Config) ChangedSince(other *Config) (names []string, ok bool) {
	if c.upon == nil || other == nil || other.upon == nil || c.upon.ground != other.upon.ground {
		return nil, false
	}
	names = slices.Concat(c.upon.anew, other.upon.anew)
	slices.Sort(names)
	return slices.Compact(names), true
}

// upon is what a Config has been built upon.
type upon struct {
	ground *based
	anew   []string // functions that are not as in the ground
}

// ground returns the Config of the files alone, made if nobody has it any more;
// nil if there is none.
func (f *Files) ground() *based {
	if base := f.made(); base != nil {
		return base
	}
	cfg, err := f.buildWhole(nil)
	if err != nil {
		return nil
	}
	return cfg.origins.ground
}

// made is the Config of the files alone, if anybody has it.
func (f *Files) made() *based {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.base.Value()
}

// keep remembers the Config of the files alone for as long as anybody has it, or
// one that is built upon it.
func (f *Files) keep(cfg *Config) {
	copied := *cfg // With says of its own what is refused
	base := &based{&copied, cfg.origins}
	cfg.origins.ground, cfg.upon = base, &upon{ground: base}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.base = weak.Make(base)
}
