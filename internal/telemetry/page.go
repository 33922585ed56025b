package telemetry

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"github.com/weir-gateway/weir/proxy/table"
)

// A Scene is what lives at the moment of a scrape.
type Scene struct {
	Table     *table.Table // nil before the first one stands
	InFlight  int          // calls inside weir
	Expected  Foresight    // nil: nobody looks ahead
	HeldBytes int64        // memory of those that are held
	Async     Async        // what is kept for clients that do not wait
	Listeners []Listener
	Refused   []table.Refusal // by the sources of endpoints
	Sources   []Source        // where endpoints are learned from
	Recalls   []Recall        // endpoints that are remembered and not confirmed
	Routers   []Router        // that share limits, by their addresses; none if there are no peers
	Version   string          // of weir
	Revision  string          // that it was built from
}

// A Router is one weir among those that share limits, as /api/v1/peers shows it.
type Router struct {
	Address string `json:"address"` // as discovery has it; "" for this one if it is not listed
	Self    bool   `json:"self"`
}

// Foresight tells for when a function is next raised before it is called, and
// why; ok is false if nothing is known.
type Foresight func(function string) (at time.Time, kind string, ok bool)

// Async is what is kept for clients that do not wait for their answer: calls
// under way, those that were answered, and how many bytes all of them take.
type Async struct{ UnderWay, Answered, Bytes int }

// A Listener is one address that takes calls.
type Listener struct {
	Name    string
	Open    int            // clients connected
	Refused map[string]int // turned away, by reason
	Evicted map[string]int // closed to make room, by what was short
}

// WritePrometheus writes all metrics in the text format of Prometheus, each
// family in one piece with its HELP and TYPE.
func (t *Telemetry) WritePrometheus(w io.Writer, scene Scene) error {
	p := newPage()
	t.set.WritePrometheus(p)
	for _, s := range t.all() {
		s.set.WritePrometheus(p)
	}
	t.writeScene(p, scene)
	metrics.WriteProcessMetrics(p)
	metrics.WriteFDMetrics(p)
	_, err := p.WriteTo(w)
	return err
}

// all returns the series of all functions, by name.
func (t *Telemetry) all() []*series {
	t.mu.Lock()
	defer t.mu.Unlock()
	all := make([]*series, 0, len(t.functions)+1)
	for _, function := range slices.Sorted(maps.Keys(t.functions)) {
		all = append(all, t.functions[function])
	}
	if t.overflow.newest != nil {
		all = append(all, t.overflow)
	}
	return all
}

// A page sorts lines of the text format into families.
type page struct {
	families map[string]*section
	last     *section // that of the line before: mostly the next one's too
	name     []byte   // of the metric of the line before
}

type section struct {
	family
	lines bytes.Buffer
}

func newPage() *page {
	p := &page{families: make(map[string]*section, len(families))}
	for _, f := range families {
		p.families[f.name] = &section{family: f}
	}
	return p
}

// Write takes whole lines, which is what the library writes.
func (p *page) Write(lines []byte) (int, error) {
	for line := range bytes.Lines(lines) {
		if at := bytes.IndexAny(line, "{ "); at > 0 && line[0] != '#' {
			if !bytes.Equal(line[:at], p.name) {
				p.name = append(p.name[:0], line[:at]...)
				p.last = p.section(string(p.name))
			}
			if p.last != nil {
				p.last.lines.Write(line)
			}
		}
	}
	return len(lines), nil
}

// section finds the family of a metric; nil if it is not published.
func (p *page) section(name string) *section {
	if s := p.families[name]; s != nil {
		return s
	}
	for _, suffix := range []string{"_bucket", "_sum", "_count"} {
		if base, ok := strings.CutSuffix(name, suffix); ok {
			if s := p.families[base]; s != nil && (s.kind == "histogram" || s.kind == "summary") {
				return s
			}
		}
	}
	return nil
}

// gauge writes one value.
func (p *page) gauge(value int, family string, labels ...string) {
	s := p.families[family]
	if s == nil {
		panic("BUG: " + family + " is not in the table of families")
	}
	fmt.Fprintf(&s.lines, "%s %d\n", name(family, labels...), value)
}

// number writes one value that need not be whole.
func (p *page) number(value float64, family string, labels ...string) {
	s := p.families[family]
	if s == nil {
		panic("BUG: " + family + " is not in the table of families")
	}
	fmt.Fprintf(&s.lines, "%s %s\n", name(family, labels...), strconv.FormatFloat(value, 'g', -1, 64))
}

// WriteTo writes the page in the order of the table of families.
func (p *page) WriteTo(w io.Writer) (sum int64, err error) {
	for _, f := range families {
		s := p.families[f.name]
		if s.lines.Len() == 0 {
			continue
		}
		n, err := fmt.Fprintf(w, "# HELP %s %s\n# TYPE %s %s\n", f.name, f.help, f.name, f.kind)
		sum += int64(n)
		if err != nil {
			return sum, err
		}
		m, err := s.lines.WriteTo(w)
		sum += m
		if err != nil {
			return sum, err
		}
	}
	return sum, nil
}
