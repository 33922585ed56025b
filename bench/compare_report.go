package bench

import (
	"fmt"
	"html/template"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// A Comparison is weir beside its peers.
type Comparison struct {
	Began     time.Time   `json:"began"`
	Origin    Origin      `json:"origin"`
	Load      string      `json:"load"`
	Rounds    int         `json:"rounds"`
	Standings []*Standing `json:"standings"`
	Crowd     int         `json:"crowd"` // idle connections of the measure of memory
	Held      int         `json:"held"`  // held calls
	Notes     []string    `json:"notes"`
	Missing   []string    `json:"missing"` // not installed, and so not measured
}

func (c *Comparison) table() (head []string, rows [][]string) {
	head = []string{"", "CPU µs a call", "weir's CPU ×", "calls/s", "adds p50", "p99", "p99.9", "memory", fmt.Sprintf("%d idle", c.Crowd), fmt.Sprintf("%d held", c.Held)}
	direct := c.Standings[0]
	for _, s := range c.Standings {
		if s == direct {
			rows = append(rows, []string{s.Name, "", "", fmt.Sprintf("%.0f", median(s.Rate)), fmt.Sprintf("(%.0f µs)", median(s.P50)),
				fmt.Sprintf("(%.0f µs)", median(s.P99)), fmt.Sprintf("(%.0f µs)", median(s.P999)), "", "", ""})
			continue
		}
		rows = append(rows, []string{s.Name,
			fmt.Sprintf("%.1f (%.1f–%.1f)", median(s.CPU), slices.Min(s.CPU), slices.Max(s.CPU)),
			fmt.Sprintf("%.2f (%.2f–%.2f)", s.Ratio.Median, s.Ratio.Low, s.Ratio.High),
			fmt.Sprintf("%.0f", median(s.Rate)),
			fmt.Sprintf("%+.0f µs", added(s.P50, direct.P50)), fmt.Sprintf("%+.0f µs", added(s.P99, direct.P99)), fmt.Sprintf("%+.0f µs", added(s.P999, direct.P999)),
			mebibytes(s.Idle), mebibytes(s.Idlers), mebibytes(s.Held)})
	}
	return head, rows
}

func mebibytes(n int64) string {
	if n == 0 {
		return "–"
	}
	return fmt.Sprintf("%.0f MiB", float64(n)/(1<<20))
}

func (c *Comparison) page() page {
	p := page{Title: "weir beside its peers", Subtitle: c.Load, Origin: c.Origin, Began: c.Began}
	p.Head, p.Rows = c.table()
	p.Notes = c.notes()
	var costs, rates []bar
	for _, s := range c.Standings {
		if s.Name != "direct" {
			costs = append(costs, bar{name: s.Name, value: median(s.CPU), lo: slices.Min(s.CPU), hi: slices.Max(s.CPU), text: fmt.Sprintf("%.1f µs", median(s.CPU))})
		}
		rates = append(rates, bar{name: s.Name, value: median(s.Rate), lo: slices.Min(s.Rate), hi: slices.Max(s.Rate), text: fmt.Sprintf("%.0f /s", median(s.Rate))})
	}
	p.Pictures = []template.HTML{template.HTML(bars("Processor time of the proxy for a call", costs)), template.HTML(bars("Calls a second", rates))}
	return p
}

func (c *Comparison) notes() []string {
	notes := slices.Clone(c.Notes)
	if len(c.Missing) > 0 {
		notes = append(notes, "not installed, and so not measured: "+strings.Join(c.Missing, ", ")+" (make peers)")
	}
	return append(notes, "ratios are within a round, medians with the lowest and the highest; clients, endpoint and proxy share the machine")
}

// WriteText writes a table.
func (c *Comparison) WriteText(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	head, rows := c.table()
	for _, row := range append([][]string{head}, rows...) {
		fmt.Fprintln(w, strings.Join(row, "\t")+"\t")
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, n := range c.notes() {
		fmt.Fprintf(out, "note: %s\n", n)
	}
	return nil
}

// WriteJSON writes every round.
func (c *Comparison) WriteJSON(out io.Writer) error { return writeJSON(out, c) }

// WriteHTML writes a page with bars.
func (c *Comparison) WriteHTML(out io.Writer) error { return pageTemplate.Execute(out, c.page()) }

// WriteMarkdown writes the table for RESULTS.md.
func (c *Comparison) WriteMarkdown(out io.Writer) error { return c.page().markdown(out) }
