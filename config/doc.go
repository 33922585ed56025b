// Package config holds what the operator said: every knob of weir, declared
// once, as plain data with its default, its unit and its reason.
//
// Invariants
//
//   - A *Config that Load or Parse returned is complete: every default is
//     filled in, every reference resolves, every value is possible. Nobody
//     checks it again and nobody changes it.
//   - A document that cannot be had in full is not had at all: Parse returns
//     every mistake it found, each with its place, and no Config.
//   - A key that is accepted is obeyed. A key that weir knows of but does not
//     obey yet is refused by name, never ignored.
//
// Not here: watching files (the caller reloads), anything that acts on a knob.
// goccy/go-yaml is used in yaml.go and nowhere else.
package config
