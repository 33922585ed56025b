package geo

import (
	"fmt"
	"hash/maphash"
	"math/rand/v2"
	"net/netip"
	"os"
	"reflect"
	"slices"
	"sync/atomic"

	"github.com/oschwald/maxminddb-golang/v2"

	"github.com/weir-gateway/weir/config"
)

// remembered is for how many addresses a Map keeps what it has found, and for how many
// texts what they say. Measured on 2026-11-26: 35 ns for an address that is remembered,
// 450 ns for a look into a database; 16 ns for a text, and 47 to read it.
const remembered = 4096

// Of texts that are not remembered one in rarelyKept is kept from then on: what comes
// once takes neither memory nor the place of what comes often.
const rarelyKept = 8

// A Map says where addresses are. Frozen, what it remembers aside; safe for
// concurrent use.
type Map struct {
	cfg     config.Geography
	listed  map[netip.Prefix]Point
	lengths []int // of the listed prefixes, longest first
	db      *maxminddb.Reader
	file    config.FileVersion // that db was read from

	seed  maphash.Seed
	found [remembered]atomic.Pointer[finding]
	read  [remembered]atomic.Pointer[reading]
}

type finding struct {
	addr  netip.Addr
	at    Point
	known bool
}

type reading struct {
	text string
	at   Point
	ok   bool
}

// NewMap makes a Map; it is prev, which may be nil, if nothing has changed since.
// The database is kept in memory as it was read: the file may be replaced, cut or
// removed at any time. If it cannot be read the Map goes on with what prev had of
// it, and there is an error too.
func NewMap(cfg config.Geography, prev *Map) (*Map, error) {
	var file config.FileVersion
	var err error
	if cfg.Database != "" {
		file, err = config.VersionOf(cfg.Database)
	}
	if prev != nil && err == nil && prev.file == file && reflect.DeepEqual(prev.cfg, cfg) {
		return prev, nil
	}
	m := &Map{cfg: cfg, listed: make(map[netip.Prefix]Point, len(cfg.Places)), seed: maphash.MakeSeed()}
	for _, p := range cfg.Places {
		prefix := p.CIDR.Masked()
		m.listed[prefix] = At(float64(p.Location[0]), float64(p.Location[1]))
		if !slices.Contains(m.lengths, prefix.Bits()) {
			m.lengths = append(m.lengths, prefix.Bits())
		}
	}
	slices.SortFunc(m.lengths, func(a, b int) int { return b - a })
	if prev != nil && cfg.Database != "" {
		m.db, m.file = prev.db, prev.file
	}
	if err != nil || file == m.file {
		return m, err
	}
	content, err := os.ReadFile(cfg.Database)
	if err != nil {
		return m, err
	}
	db, err := maxminddb.OpenBytes(content)
	if err != nil {
		return m, fmt.Errorf("%s: %w", cfg.Database, err)
	}
	m.db, m.file = db, file
	return m, nil
}

// Find tells where an address is, if that is known.
func (m *Map) Find(addr netip.Addr) (at Point, known bool) {
	addr = addr.Unmap()
	slot := &m.found[maphash.Comparable(m.seed, addr)%remembered]
	if f := slot.Load(); f != nil && f.addr == addr {
		return f.at, f.known
	}
	f := &finding{addr: addr}
	f.at, f.known = m.look(addr)
	slot.Store(f)
	return f.at, f.known
}

// Read is ParsePoint for texts of which many are the same.
func (m *Map) Read(text []byte) (at Point, ok bool) {
	slot := &m.read[maphash.Bytes(m.seed, text)%remembered]
	if r := slot.Load(); r != nil && r.text == string(text) {
		return r.at, r.ok
	}
	at, ok = ParsePoint(string(text))
	if len(text) <= longestRead && rand.Uint32()%rarelyKept == 0 {
		slot.Store(&reading{string(text), at, ok})
	}
	return at, ok
}

// longestRead is how long a text is at most that is remembered: two numbers of more
// digits than count.
const longestRead = 64

func (m *Map) look(addr netip.Addr) (Point, bool) {
	for _, bits := range m.lengths {
		if prefix, err := addr.WithZone("").Prefix(bits); err == nil { // else it is too long for IPv4
			if at, ok := m.listed[prefix]; ok {
				return at, true
			}
		}
	}
	if m.db == nil {
		return Point{}, false
	}
	var place struct {
		Latitude  *float64 `maxminddb:"latitude"`
		Longitude *float64 `maxminddb:"longitude"`
	}
	found := m.db.Lookup(addr.WithZone(""))
	if !found.Found() || found.DecodePath(&place, "location") != nil || place.Latitude == nil || place.Longitude == nil {
		return Point{}, false // a database of countries says no point
	}
	if !isPlace(*place.Latitude, *place.Longitude) { // it is broken
		return Point{}, false
	}
	return At(*place.Latitude, *place.Longitude), true
}
