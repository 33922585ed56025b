package proxy

import (
	"github.com/weir-gateway/weir/proxy/table"
	"github.com/weir-gateway/weir/shaping/geo"
)

// place is where the client is, if that is known: what a trusted proxy says of it
// counts, then its address. A stranger's word about itself does not.
func (c *Call) place() (at geo.Point, known bool) {
	if header := &c.table.PlaceHeader; header.Name != nil && c.Client.Trusted {
		if at, known = c.table.Places.Read(table.FieldOf(c.Request.Fields, header)); known {
			return at, true
		}
	}
	return c.table.Places.Find(c.Client.Addr)
}
