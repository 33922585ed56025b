package table

import (
	"cmp"

	"github.com/weir-gateway/weir/config"
)

// compare is the order of the routes that one host has, as docs/routing.md tells
// it: negative if a comes before b.
func compare(a, b *Route) int {
	return cmp.Or(
		cmp.Compare(b.precedence, a.precedence),
		comparePaths(a, b),
		compareConditions(a.conditions, b.conditions),
		cmp.Compare(a.Index, b.Index),
	)
}

func comparePaths(a, b *Route) int {
	if a.kind != b.kind {
		return cmp.Compare(a.kind, b.kind)
	}
	switch a.kind {
	case config.TemplatePath:
		return cmp.Compare(a.variables, b.variables)
	case config.PrefixPath:
		return cmp.Compare(len(b.pattern), len(a.pattern))
	}
	return 0
}

// compareConditions puts first whoever asks for methods, then for more fields,
// for more parameters, for more cookies.
func compareConditions(a, b *conditions) int {
	if a == nil || b == nil {
		return cmp.Compare(truth(b != nil), truth(a != nil))
	}
	return cmp.Or(
		cmp.Compare(truth(b.methods != 0), truth(a.methods != 0)),
		cmp.Compare(len(b.headers), len(a.headers)),
		cmp.Compare(len(b.query), len(a.query)),
		cmp.Compare(len(b.cookies), len(a.cookies)),
	)
}

func truth(b bool) int {
	if b {
		return 1
	}
	return 0
}
