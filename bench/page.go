package bench

import (
	"fmt"
	"html/template"
	"io"
	"maps"
	"slices"
	"strings"
	"time"
)

// A page is a report that stands alone: no script, no font, nothing fetched.
type page struct {
	Title, Subtitle string
	Facts           []fact
	Notes           []string
	Head            []string
	Rows            [][]string
	Pictures        []template.HTML // ours, escaped where they were drawn
	Origin          Origin
	Began           time.Time
}

type fact struct{ Value, Name string }

var pageTemplate = template.Must(template.New("page").Parse(`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>{{.Title}}</title>
<style>
:root{color-scheme:light dark;--ink:#1b1f24;--dim:#5c6670;--line:#dde2e7;--back:#fff;--warn:#fff4d6}
@media(prefers-color-scheme:dark){:root{--ink:#e6e9ec;--dim:#9aa5b1;--line:#333b44;--back:#15191d;--warn:#3a3014}}
body{font:15px/1.5 system-ui,sans-serif;max-width:800px;margin:2rem auto;padding:0 1rem;color:var(--ink);background:var(--back)}
h1{font-size:1.5rem;margin:0;overflow-wrap:anywhere}p{color:var(--dim);margin:.2rem 0}
.facts{display:flex;flex-wrap:wrap;gap:1.2rem 2.4rem;margin:1.5rem 0}.facts b{display:block;font-size:1.5rem;font-variant-numeric:tabular-nums}.facts span{color:var(--dim)}
.note{background:var(--warn);padding:.4rem .8rem;border-radius:4px;margin:.4rem 0;color:var(--ink)}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums;margin:1rem 0}th,td{padding:.3rem .5rem;text-align:right;border-bottom:1px solid var(--line)}th:first-child,td:first-child{text-align:left}
svg{width:100%;margin:1rem 0;font:12px system-ui,sans-serif}svg text{fill:var(--dim)}svg text[fill]{fill:revert-layer}svg .t{fill:var(--ink);font-weight:600;font-size:14px}svg .g{stroke:var(--line)}svg .w{stroke:var(--ink);fill:none}
footer{color:var(--dim);font-size:.85rem;margin:2rem 0;overflow-wrap:anywhere}
</style></head><body>
<h1>{{.Title}}</h1><p>{{.Subtitle}}</p>
<div class="facts">{{range .Facts}}<div><b>{{.Value}}</b><span>{{.Name}}</span></div>{{end}}</div>
{{range .Notes}}<div class="note">{{.}}</div>{{end}}
<table><thead><tr>{{range .Head}}<th>{{.}}</th>{{end}}</tr></thead><tbody>{{range .Rows}}<tr>{{range .}}<td>{{.}}</td>{{end}}</tr>{{end}}</tbody></table>
{{range .Pictures}}{{.}}{{end}}
<footer>{{.Began.UTC.Format "2006-01-02 15:04:05 UTC"}} · {{.Origin.Machine}}, load {{.Origin.Load}} · weir {{.Origin.Version}} {{.Origin.Revision}}<br>{{.Origin.Command}}</footer>
</body></html>
`))

func (r *Report) page() page {
	p := page{Title: r.Target, Subtitle: r.Load, Notes: r.Notes, Origin: r.Origin, Began: r.Began,
		Facts: []fact{{fmt.Sprintf("%.0f /s", r.Rate), "answers"}, {brief(r.Corrected.P50), "p50"}, {brief(r.Corrected.P99), "p99"},
			{fmt.Sprint(r.Calls), "calls"}, {fmt.Sprintf("%.3g %%", 100*r.FailedRatio()), "failed"}, {brief(r.Client.PerCall), "of client CPU a call"}},
		Head: []string{"latency", "mean", "p50", "p90", "p99", "p99.9", "longest"},
	}
	rows := []KindReport{{Name: "corrected", Latency: r.Corrected}, {Name: "uncorrected", Latency: r.Uncorrected}}
	if r.Client.Late.Count > 0 {
		rows = append(rows, KindReport{Name: "sent late by this client", Latency: r.Client.Late})
	}
	if len(r.Kinds) > 1 {
		rows = append(rows, r.Kinds...)
	}
	for _, row := range rows {
		d := row.Latency
		p.Rows = append(p.Rows, []string{row.Name, brief(d.Mean), brief(d.P50), brief(d.P90), brief(d.P99), brief(d.P999), brief(d.Max)})
	}
	p.picture(r.byPercentile(), len(r.Corrected.Curve) > 0)
	p.picture(r.overTime(), len(r.Seconds) > 0)
	p.picture(r.rateOverTime(), len(r.Seconds) > 0)
	shares, any := r.sharesOverTime()
	p.picture(shares, any)
	if len(r.Phases) > 0 {
		var phases []bar
		for _, ph := range r.Phases {
			phases = append(phases, bar{name: ph.Name, value: float64(ph.Mean), text: "mean " + brief(ph.Mean)})
		}
		p.Pictures = append(p.Pictures, template.HTML(bars("Phases of cold starts", phases)))
	}
	return p
}

func (p *page) picture(c chart, any bool) {
	if any {
		p.Pictures = append(p.Pictures, template.HTML(c.svg()))
	}
}

// WriteHTML writes the report as a page.
func (r *Report) WriteHTML(out io.Writer) error { return pageTemplate.Execute(out, r.page()) }

func (r *Report) byPercentile() chart {
	c := chart{title: "Latency by percentile", x: percentiles(r.Corrected.Count), y: logarithmic(float64(r.Uncorrected.P50)/2, float64(max(r.Corrected.Max, r.Uncorrected.Max)))}
	for _, l := range []struct {
		name string
		d    Digest
	}{{"corrected", r.Corrected}, {"uncorrected", r.Uncorrected}} {
		one := line{name: l.name}
		for _, at := range l.d.Curve {
			one.points = append(one.points, point{at.Percent, float64(at.At)})
		}
		c.lines = append(c.lines, one)
	}
	return c
}

func (r *Report) overTime() chart {
	lines := []line{{name: "p50"}, {name: "p99"}, {name: "longest"}}
	lowest, highest := r.Corrected.P50, r.Corrected.Max
	for _, s := range r.Seconds {
		for i, d := range []time.Duration{s.P50, s.P99, s.Max} {
			if d > 0 {
				lines[i].points = append(lines[i].points, point{float64(s.At) + 0.5, float64(d)})
				lowest, highest = min(lowest, d), max(highest, d)
			}
		}
	}
	return chart{title: "Latency over time", x: r.seconds(), y: logarithmic(float64(lowest), float64(highest)), lines: lines}
}

func (r *Report) seconds() axis {
	a := linear(0, float64(len(r.Seconds)))
	a.name = "seconds"
	return a
}

func (r *Report) rateOverTime() chart {
	lines := []line{{name: "calls a second"}, {name: "failed"}}
	most := 1.0
	for _, s := range r.Seconds {
		x := float64(s.At) + 0.5
		lines[0].points = append(lines[0].points, point{x, float64(s.Calls)})
		lines[1].points = append(lines[1].points, point{x, float64(s.Failed)})
		most = max(most, float64(s.Calls))
	}
	return chart{title: "Calls over time", x: r.seconds(), y: linear(0, most), lines: lines}
}

func (r *Report) sharesOverTime() (chart, bool) {
	names := map[string]bool{}
	for _, s := range r.Seconds {
		for name := range s.Shares {
			names[name] = true
		}
	}
	c := chart{title: "Shares over time, percent", x: r.seconds(), y: linear(0, 100), area: true}
	sum := make([]float64, len(r.Seconds))
	for _, name := range slices.Sorted(maps.Keys(names)) {
		l := line{name: name}
		for i, s := range r.Seconds {
			all := int64(0)
			for _, n := range s.Shares {
				all += n
			}
			sum[i] += 100 * float64(s.Shares[name]) / float64(max(all, 1))
			l.points = append(l.points, point{float64(s.At) + 0.5, sum[i]})
		}
		c.lines = append(c.lines, l)
	}
	return c, len(names) > 0
}

// WriteMarkdown writes the report as a summary.
func (r *Report) WriteMarkdown(out io.Writer) error { return r.page().markdown(out) }

func (p page) markdown(out io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "## %s\n\n%s\n\n", p.Title, p.Subtitle)
	for _, f := range p.Facts {
		fmt.Fprintf(&b, "- %s %s\n", f.Value, f.Name)
	}
	fmt.Fprintf(&b, "\n| %s |\n|---|%s\n", strings.Join(p.Head, " | "), strings.Repeat("---:|", len(p.Head)-1))
	for _, row := range p.Rows {
		fmt.Fprintf(&b, "| %s |\n", strings.ReplaceAll(strings.Join(row, "\x00"), "|", "\\|"))
	}
	for _, n := range p.Notes {
		fmt.Fprintf(&b, "\n> %s\n", n)
	}
	fmt.Fprintf(&b, "\n%s · %s, load %s · weir %s %s · `%s`\n", p.Began.UTC().Format("2006-01-02 15:04:05 UTC"), p.Origin.Machine, p.Origin.Load, p.Origin.Version, p.Origin.Revision, p.Origin.Command)
	_, err := io.WriteString(out, strings.ReplaceAll(b.String(), "\x00", " | "))
	return err
}
