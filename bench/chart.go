package bench

import (
	"fmt"
	"html"
	"math"
	"strings"
)

// A chart is a picture of lines over one axis, as SVG.
type chart struct {
	title string
	x     axis
	y     axis
	lines []line
	area  bool // lines are stacked, from 0
}

type line struct {
	name   string
	points []point
}

type point struct{ x, y float64 }

// An axis goes from one value to another; scale says where a value lies.
type axis struct {
	name  string
	scale func(float64) float64
	ticks []tick
}

type tick struct {
	at   float64
	text string
}

// The drawing area and what is around it, in pixels.
const (
	wide, high               = 760.0, 260.0
	left, right, top, bottom = 70.0, 20.0, 34.0, 44.0
)

// colours tell lines apart for most people who see colours differently, too
// (Okabe and Ito 2008).
var colours = []string{"#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"}

func colour(i int) string { return colours[i%len(colours)] }

func linear(from, to float64) axis {
	if to <= from {
		to = from + 1
	}
	a := axis{scale: func(v float64) float64 { return (v - from) / (to - from) }}
	step := math.Pow(10, math.Floor(math.Log10((to-from)/4)))
	for _, m := range []float64{1, 2, 5, 10} {
		if (to-from)/(step*m) <= 6 {
			step *= m
			break
		}
	}
	for v := math.Ceil(from/step) * step; v <= to+step/1e6; v += step {
		a.ticks = append(a.ticks, tick{v, fmt.Sprintf("%g", math.Round(v/step)*step)})
	}
	return a
}

// logarithmic is an axis of durations in nanoseconds, with a tick for each
// power of ten.
func logarithmic(from, to float64) axis {
	from = math.Floor(math.Log10(max(from, 100)))
	to = max(math.Ceil(math.Log10(max(to, 1))), from+1)
	a := axis{scale: func(v float64) float64 { return (math.Log10(max(v, 1)) - from) / (to - from) }}
	for p := from; p <= to; p++ {
		v := math.Pow(10, p)
		text := fmt.Sprintf("%g s", v/1e9)
		switch {
		case v < 1e3:
			text = fmt.Sprintf("%g ns", v)
		case v < 1e6:
			text = fmt.Sprintf("%g µs", v/1e3)
		case v < 1e9:
			text = fmt.Sprintf("%g ms", v/1e6)
		}
		a.ticks = append(a.ticks, tick{v, text})
	}
	return a
}

// percentiles is an axis on which each nine takes as much room as the one
// before.
func percentiles(calls int64) axis {
	nines := max(1, math.Log10(float64(max(calls, 10))))
	a := axis{scale: func(percent float64) float64 {
		return min(1, -math.Log10(max(1-percent/100, 1e-12))/nines)
	}}
	for _, p := range []float64{0, 50, 90, 99, 99.9, 99.99, 99.999, 99.9999} {
		if -math.Log10(1-p/100) <= nines {
			a.ticks = append(a.ticks, tick{p, fmt.Sprintf("%g %%", p)})
		}
	}
	return a
}

func (c chart) at(p point) (x, y float64) {
	return left + max(0, min(1, c.x.scale(p.x)))*(wide-left-right), high - bottom - max(0, min(1, c.y.scale(p.y)))*(high-top-bottom)
}

func (c chart) svg() string {
	var b strings.Builder
	fmt.Fprintf(&b, `<svg viewBox="0 0 %g %g" role="img" aria-label="%s">`, wide, high, html.EscapeString(c.title))
	fmt.Fprintf(&b, `<text class="t" x="%g" y="16">%s</text>`, left, html.EscapeString(c.title))
	for _, t := range c.y.ticks {
		_, y := c.at(point{0, t.at})
		fmt.Fprintf(&b, `<line class="g" x1="%g" x2="%g" y1="%.1f" y2="%.1f"/><text x="%g" y="%.1f" text-anchor="end">%s</text>`, left, wide-right, y, y, left-8, y+4, html.EscapeString(t.text))
	}
	for _, t := range c.x.ticks {
		x := left + c.x.scale(t.at)*(wide-left-right)
		fmt.Fprintf(&b, `<line class="g" x1="%.1f" x2="%.1f" y1="%g" y2="%g"/><text x="%.1f" y="%g" text-anchor="middle">%s</text>`, x, x, top, high-bottom, x, high-bottom+16, html.EscapeString(t.text))
	}
	fmt.Fprintf(&b, `<text x="%g" y="%g" text-anchor="middle">%s</text>`, (left+wide-right)/2, high-8, html.EscapeString(c.x.name))
	for i, l := range c.lines {
		c.draw(&b, i, l)
	}
	x := wide - right
	for i := len(c.lines) - 1; i >= 0; i-- {
		name := c.lines[i].name
		fmt.Fprintf(&b, `<text x="%.1f" y="16" text-anchor="end" fill="%s" font-weight="600">%s</text>`, x, colour(i), html.EscapeString(name))
		x -= 8*float64(len([]rune(name))) + 12
	}
	b.WriteString("</svg>")
	return b.String()
}

func (c chart) draw(b *strings.Builder, i int, l line) {
	if len(l.points) == 0 {
		return
	}
	var path strings.Builder
	for j, p := range l.points {
		x, y := c.at(p)
		if j == 0 {
			fmt.Fprintf(&path, "M%.1f %.1f", x, y)
		} else {
			fmt.Fprintf(&path, "L%.1f %.1f", x, y)
		}
	}
	if c.area { // down to what has been drawn below
		for j := len(l.points) - 1; j >= 0; j-- {
			under := point{l.points[j].x, 0}
			if i > 0 {
				under.y = c.lines[i-1].points[j].y
			}
			x, y := c.at(under)
			fmt.Fprintf(&path, "L%.1f %.1f", x, y)
		}
		fmt.Fprintf(b, `<path d="%sZ" fill="%s" fill-opacity=".75"/>`, path.String(), colour(i))
		return
	}
	fmt.Fprintf(b, `<path d="%s" fill="none" stroke="%s" stroke-width="2"/>`, path.String(), colour(i))
}

// A bar of a comparison, with where its middle half lies.
type bar struct {
	name          string
	value, lo, hi float64
	text          string
}

// bars is a picture of values beside each other, the longest the widest.
func bars(title string, all []bar) string {
	most := 0.0
	for _, b := range all {
		most = max(most, b.value, b.hi)
	}
	const row, name = 26.0, 150.0
	height := top + row*float64(len(all)) + 10
	width := wide - name - 200
	var s strings.Builder
	fmt.Fprintf(&s, `<svg viewBox="0 0 %g %g" role="img" aria-label="%s"><text class="t" x="0" y="16">%s</text>`, wide, height, html.EscapeString(title), html.EscapeString(title))
	for i, b := range all {
		y := top + row*float64(i)
		fmt.Fprintf(&s, `<text x="%g" y="%g" text-anchor="end">%s</text>`, name-8, y+14, html.EscapeString(b.name))
		fmt.Fprintf(&s, `<rect x="%g" y="%g" width="%.1f" height="18" rx="2" fill="%s"/>`, name, y, width*b.value/max(most, 1e-12), colour(i))
		if b.hi > b.lo {
			from, to := name+width*b.lo/most, name+width*b.hi/most
			fmt.Fprintf(&s, `<path class="w" d="M%.1f %.1fH%.1fM%.1f %.1fv8M%.1f %.1fv8"/>`, from, y+9, to, from, y+5, to, y+5)
		}
		fmt.Fprintf(&s, `<text x="%.1f" y="%g">%s</text>`, name+width*max(b.value, b.hi)/max(most, 1e-12)+8, y+14, html.EscapeString(b.text))
	}
	s.WriteString("</svg>")
	return s.String()
}
