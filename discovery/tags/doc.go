// Package tags reads the routes that services declare of themselves in a
// registry, by tags or metadata:
//
//	weir.route=api.example.com/checkout strip methods=GET,POST
//	urlprefix-api.example.com/checkout strip=/checkout
//
// The first form is ours; it is the value of metadata too, whose key begins
// with weir_route. The second is Fabio's, so that services which Fabio has
// routed need not be touched. docs/discovery.md has both.
//
// One bad tag costs one tag. Nothing in it is guessed: an option that weir does
// not obey costs the tag, for a route that is nearly what was asked for can be a
// hole. Only what is not about calls (register=) is left out, and told.
//
// A tag is for the instances that have it, and counts them: Fabio weighs
// instances. Metadata is for all of a service, for weir could not tell its
// endpoints apart by it.
//
// Not here: what becomes of the routes (config.WithRegistered), and where tags come
// from (discovery/consul).
package tags
