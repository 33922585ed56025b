package table

import (
	"net/netip"
	"strings"
)

// A page is a route that shows a waiting page, and for which hosts.
type page struct {
	hosts []string
	route *Route
}

// OwnPaths tells whether there is anything at paths of weir's own: a route shows a
// waiting page, or lets clients come back for the answer.
func (t *Table) OwnPaths() bool { return len(t.routes.pages) > 0 || t.routes.async }

// Page finds a route to the function that shows its waiting page on that host,
// in lower case, to a client; nil if there is none.
func (t *Table) Page(host, function []byte, client netip.Addr) *Route {
	for _, p := range t.routes.pages[string(function)] {
		if p.holdsFor(host) && p.route.Access.Allows(client) {
			return p.route
		}
	}
	return nil
}

func (p page) holdsFor(host []byte) bool {
	for _, h := range p.hosts {
		suffix, wild := strings.CutPrefix(h, "*")
		if h == string(host) || wild && len(host) > len(suffix) && string(host[len(host)-len(suffix):]) == suffix {
			return true
		}
	}
	return len(p.hosts) == 0
}
