// Package geo says where a client is, and what is how far from it.
//
// A Map knows places of addresses: those that the operator has listed, then those
// of a database in MaxMind's format. Where it knows none it says so; whoever asks
// then does without.
//
// Not here: who may be believed about a client's place (proxy), what follows from
// it for the regions (shaping.Nearest).
package geo
