package config

import "reflect"

// Equal tells whether two configurations say the same: then nothing of weir
// notices whether the one stands or the other.
func (c *Config) Equal(other *Config) bool {
	a, b := *c, *other
	for _, cfg := range []*Config{&a, &b} {
		cfg.origins, cfg.upon, cfg.Hash, cfg.Files, cfg.Patterns, cfg.Include, cfg.Warnings = nil, nil, "", nil, nil, nil, nil
	}
	return reflect.DeepEqual(a, b)
}
