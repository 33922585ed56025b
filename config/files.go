package config

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"weak"
)

// Files are the files of a configuration as they were at one moment, with all
// that they include: what a Config is built of, now and, if it is rolled back
// to, later. It is never changed; any goroutine may use it.
type Files struct {
	// Names are all of them, absolute, that of the configuration first. Patterns
	// are those of its includes.
	Names, Patterns []string
	// Hash tells their texts apart: 12 hex digits.
	Hash string

	path     string // of the configuration, absolute; empty from memory
	env      lookup
	sources  []*source
	top      *node // nil if they cannot be read
	mistakes Errors
	warnings []string
	shapes   shapes

	mu   sync.Mutex
	base weak.Pointer[based] // what they make alone; guarded by mu
}

// ReadFiles reads the configuration in a file. Its error is that of the file
// system; what is wrong inside the files, With tells.
func ReadFiles(path string) (*Files, error) { return readFiles(path, lookupEnv) }

func readFiles(path string, env lookup) (*Files, error) {
	doc, err := readFile(path, maxDocument)
	if err != nil {
		return nil, fmt.Errorf("cannot read configuration %q: %w", path, err)
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("cannot find the folder of configuration %q: %w", path, err)
	}
	f := filesOn(realDisk(), path, doc, env)
	f.path = abs
	f.Names = append([]string{abs}, f.Names...)
	return f, nil
}

// Again reads the files again, for one of them may have changed. It returns f itself
// if none has: to parse 10,000 functions takes a second of a processor and 150 MiB.
func (f *Files) Again() (*Files, error) {
	if f.standsOnDisk() {
		return f, nil
	}
	return readFiles(f.sources[0].name, f.env)
}

// standsOnDisk tells whether the same files with the same texts would be read.
func (f *Files) standsOnDisk() bool {
	if f.top == nil {
		return false
	}
	texts := make([][]byte, len(f.Names))
	for i, name := range f.Names {
		read := readRegular
		if i == 0 {
			read = readFile // it may be a pipe
		}
		var err error
		if texts[i], err = read(name, maxDocument); err != nil {
			return false
		}
	}
	for _, pattern := range f.Patterns {
		if found, err := realDisk().matches(pattern); err != nil || slices.ContainsFunc(found, func(name string) bool { return !slices.Contains(f.Names, name) }) {
			return false
		}
	}
	return hash(texts...) == f.Hash
}

// filesOn are the files of a document that is in memory, those that it includes
// on a disk.
func filesOn(disk disk, name string, doc []byte, env lookup) *Files {
	text := cleaned(doc)
	d := newDocument(newSource(name, folder(name), text))
	f := &Files{Hash: hash(doc), env: env}
	if top := d.tree(d.main(), text); top != nil {
		g := gatherer{document: d, env: env, disk: disk, read: map[string]place{}, texts: [][]byte{doc}, room: maxDocument - len(doc)}
		before := len(d.mistakes)
		top = g.gather(d.main(), top, []string{identity(filepath.Join(d.main().base, filepath.Base(name)))})
		if len(d.mistakes) == before { // half a configuration would have mistakes that nobody made
			f.top = top
		}
		f.Names, f.Patterns, f.Hash = g.files, g.patterns, hash(g.texts...)
	}
	f.sources, f.mistakes, f.warnings = d.sources, d.mistakes, d.warnings
	return f
}

// build makes a Config of the files and what is over them.
func (f *Files) build(over []Fragment) (*Config, error) {
	if cfg := f.buildUpon(over); cfg != nil {
		return cfg, nil
	}
	return f.buildWhole(over)
}

// buildWhole is build without regard to what was built before.
func (f *Files) buildWhole(over []Fragment) (*Config, error) {
	d := newDocument(append([]*source{}, f.sources...)...)
	d.mistakes, d.warnings = append(Errors{}, f.mistakes...), append([]string{}, f.warnings...)
	if f.top == nil {
		return nil, d.verdict()
	}
	top := f.top
	for i := range over {
		top = d.overlay(top, &over[i])
	}
	cfg := &Config{
		Hash: f.hashWith(over), Path: f.path, origins: d,
		Files: append([]string{}, f.Names...), Patterns: f.Patterns,
	}
	r := reader{d, f.env, &f.shapes}
	r.config(top, cfg)
	override(cfg, d, f.env)
	complete(cfg, d)
	(&checker{cfg, d}).check()
	if err := d.verdict(); err != nil {
		return nil, err
	}
	warnUnreachable(cfg, d)
	cfg.Warnings = d.warnings
	if len(over) == 0 {
		f.keep(cfg)
	}
	return cfg, nil
}

// hashWith is the hash of the files and what is over them; without anything
// over them it is that of the files.
func (f *Files) hashWith(over []Fragment) string {
	if len(over) == 0 {
		return f.Hash
	}
	texts := [][]byte{[]byte(f.Hash)}
	for _, o := range over {
		texts = append(texts, []byte(o.Name), []byte(o.Text))
	}
	return hash(texts...)
}

// hash tells texts apart. That of one text is of it alone, so that anybody can
// compute it; more are told apart by their lengths too.
func hash(texts ...[]byte) string {
	sum := sha256.New()
	for _, text := range texts {
		if len(texts) > 1 {
			fmt.Fprintf(sum, "%d\n", len(text))
		}
		sum.Write(text)
	}
	return hex.EncodeToString(sum.Sum(nil))[:12]
}
