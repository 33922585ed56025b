package config

import (
	"fmt"
	"net/netip"
	"os"
	"sync/atomic"
	"time"

	"github.com/oschwald/maxminddb-golang/v2"
)

// Geography says where clients are, for functions whose calls go to the nearest
// region. Where a client is unknown its calls follow the weights.
type Geography struct {
	// Database is a file in MaxMind's format (.mmdb) with the places of addresses,
	// as GeoLite2-City has them. It is read again when it changes.
	Database string `yaml:"database"`
	// Places of addresses that the database does not know, or knows wrong. The
	// longest prefix counts.
	Places []Place `yaml:"places"`
	// Header is a field of the request that says the place of its client, as in
	// "48.86, 2.35"; from trusted proxies only. It counts more than all else.
	Header string `yaml:"header"`
	// Version of the database when the configuration was read.
	Version FileVersion `yaml:"-"`
}

// Place is where a range of addresses is.
type Place struct {
	// CIDR is the range, as in 10.1.0.0/16.
	CIDR netip.Prefix `yaml:"cidr"`
	// Location is [latitude, longitude], in degrees.
	Location []Degrees `yaml:"location"`
}

// maxDatabase is how large a database may be: the largest one sold has 1 GB.
const maxDatabase = 2 << 30

// goodDatabase is the FileVersion of the database that was last found to be one: it
// is large, and a Config may be made a hundred times a second.
var goodDatabase atomic.Pointer[FileVersion]

func completeGeography(cfg *Config, d *document, at *path) {
	g := &cfg.Geography
	if g.Database == "" {
		return
	}
	p := at.key("database")
	g.Database = absolute(d.base(p), g.Database)
	cfg.Files = append(cfg.Files, g.Database)
	version, err := VersionOf(g.Database)
	if good := goodDatabase.Load(); err == nil && (good == nil || *good != version) {
		var content []byte
		if content, err = readRegular(g.Database, maxDatabase); err == nil {
			_, err = maxminddb.OpenBytes(content)
		}
	}
	if err != nil {
		d.fail(p, fmt.Sprintf("%s cannot be used: %q: %v", p, g.Database, err), "it has to be in MaxMind's format, .mmdb, as GeoLite2-City is")
		return
	}
	g.Version = version
	goodDatabase.Store(&version)
}

// A FileVersion tells whether a file is still the one that was read.
type FileVersion struct {
	Name     string
	Size     int64
	Modified time.Time
}

// VersionOf a file, which has to be a regular one.
func VersionOf(name string) (FileVersion, error) {
	info, err := os.Stat(name)
	if err != nil {
		return FileVersion{}, reason(err)
	}
	if !info.Mode().IsRegular() {
		return FileVersion{}, errNoFile
	}
	return FileVersion{name, info.Size(), info.ModTime()}, nil
}

func (g *Geography) isSaid() bool { return g.Database != "" || len(g.Places) > 0 || g.Header != "" }

func (c *checker) geography(p *path, g Geography) {
	if g.Header != "" && !validField.MatchString(g.Header) {
		c.fail(p.key("header"), "say header: x-client-location", "is not the name of a field: %q", g.Header)
	}
	seen := map[netip.Prefix]*path{}
	for i, place := range g.Places {
		at := p.key("places").item(i)
		if !place.CIDR.IsValid() {
			c.missing(at.key("cidr"), "say which addresses are there, as in cidr: 10.1.0.0/16")
			continue
		}
		if first := seen[place.CIDR.Masked()]; first != nil {
			c.fail(at.key("cidr"), "", "%s has a place at %s already", place.CIDR.Masked(), c.d.where(first))
		}
		seen[place.CIDR.Masked()] = at.key("cidr")
		if place.Location == nil {
			c.missing(at.key("location"), "say where these addresses are, as in location: [48.86, 2.35]")
			continue
		}
		c.location(at.key("location"), place.Location)
	}
}

// nearest checks that what is asked for can be had.
func (c *checker) nearest(p *path, fn Function) {
	if fn.LoadBalancing.Regions != "nearest" {
		return
	}
	if !c.cfg.Geography.isSaid() && c.d.sound((*path)(nil).key("geography")) {
		c.fail(p, "say geography: { database: city.mmdb }, or places, or header", "needs geography: nothing says where clients are")
	}
	for _, r := range c.cfg.Regions {
		if r.Location != nil {
			return
		}
	}
	c.fail(p, "say regions: { us-east: { location: [39.04, -77.49] } }", "needs a location of a region: none has one")
}
