package telemetry

import (
	"cmp"

	"github.com/VictoriaMetrics/metrics"

	"github.com/weir-gateway/weir/coldstart"
)

const (
	// maxPlaces are told apart for one function, maxAllPlaces for all together: a
	// place has five phases, 90 lines on the page, 12 KB. What starts elsewhere is
	// counted in its region, under _other.
	maxPlaces    = 16
	maxAllPlaces = 2000

	elsewhere = "_other"
)

// phaseOf is where a phase of starts in a place is measured.
func (t *Telemetry) phaseOf(s *series, at coldstart.Place, phase string) *metrics.PrometheusHistogram {
	at = t.bounded(s, at)
	return s.histogram(startBuckets, "weir_coldstart_duration_seconds",
		"region", at.Region, "phase", phase, "node", at.Node, "rack", at.Rack, "dc", at.Zone)
}

// bounded is the place if there is room to tell it apart.
func (t *Telemetry) bounded(s *series, at coldstart.Place) coldstart.Place {
	at.Region = cmp.Or(at.Region, t.region())
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case s.places[at]:
	case len(s.places) < maxPlaces && t.places < maxAllPlaces:
		s.places[at] = true
		t.places++
	default:
		at = coldstart.Place{Region: at.Region, Node: elsewhere, Rack: elsewhere, Zone: elsewhere}
	}
	return at
}
