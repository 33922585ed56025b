package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/weir-gateway/weir/internal/admin"
	"github.com/weir-gateway/weir/internal/shift"
)

func shiftCommand() *cobra.Command {
	r := &remote{}
	var order shift.Order
	var over time.Duration
	var at string
	cmd := &cobra.Command{
		Use:   "shift REGION=WEIGHT... --over 10m [--function NAME]",
		Short: "Move weights of regions little by little: weir shift us-east=20 eu-west=80 --over 10m",
		Long: `Move the weights of regions from what they are to others, in a row of small steps,
for one function or for all that do not say otherwise:

  weir shift us-east=20 eu-west=80 --over 10m --max-errors 1 --on-errors rollback

Between the steps it looks how many calls were answered with 500 and over, and if
that are too many stops or goes back. The weights are overrides, as those of weir
weight; weir config overrides shows them. The shift itself lives as long as weir
does: if weir ends in the middle, the weights stay where they are.`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			weights, err := readWeights(args)
			if err != nil {
				return exit(exitUsage, err)
			}
			order.To = map[string]float64{}
			for name, w := range weights {
				order.To[name], _ = w["weight"].Float64()
			}
			if at != "" {
				if order.At, err = readTime(at, time.Now()); err != nil {
					return exit(exitUsage, err)
				}
			}
			order.Over, order.Author, order.Reason = shift.Duration(over), r.author, r.reason
			return ask(cmd, r, "POST", "/api/v1/shifts", order, showShift)
		},
	}
	r.flags(cmd)
	r.signed(cmd)
	f := cmd.Flags()
	f.StringVar(&order.Function, "function", "", "whose regions; without it those of all functions that do not say otherwise")
	f.DurationVar(&over, "over", 0, "how long it takes; 0 is at once")
	f.StringVar(&at, "at", "", "when it begins: 03:00 for the next time it is three by the clock, or 2026-11-27T03:00:00Z")
	f.Float64Var(&order.MaxErrorPercent, "max-errors", 0, "how many percent of the calls may fail; 0 is not looked at")
	f.StringVar(&order.OnErrors, "on-errors", "", "what happens if more do: pause (as a rule) or rollback")
	cmd.AddCommand(shiftListCommand())
	for _, do := range []struct{ what, short string }{
		{"pause", "Have a shift stay where it is"},
		{"resume", "Have a paused shift go on"},
		{"rollback", "Have the weights be as before a shift"},
		{"cancel", "End a shift; the weights stay as they are"},
	} {
		cmd.AddCommand(shiftDoCommand(do.what, do.short))
	}
	return cmd
}

func shiftListCommand() *cobra.Command {
	return queryCommand("list", "Show the shifts, the newest first", "/api/v1/shifts", func(out io.Writer, all []shift.Status) {
		fmt.Fprintln(out, "SHIFT\tFUNCTION\tSTATE\tDONE\tFROM\tNOW\tTO\tCAUSE")
		for _, s := range all {
			fmt.Fprintf(out, "%s\t%s\t%s\t%.0f %%\t%s\t%s\t%s\t%s\n", s.ID, cmp.Or(s.Function, "*"), s.State, s.Percent,
				weightsText(s.From), weightsText(s.Now), weightsText(s.To), s.Cause)
		}
	})
}

func shiftDoCommand(what, short string) *cobra.Command {
	r := &remote{}
	cmd := &cobra.Command{
		Use:   what + " SHIFT",
		Short: short,
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			wish := admin.ShiftWish{Do: what, Author: r.author, Reason: r.reason}
			return ask(cmd, r, "POST", "/api/v1/shifts/"+url.PathEscape(args[0]), wish, showShift)
		},
	}
	r.flags(cmd)
	r.signed(cmd)
	return cmd
}

func showShift(out io.Writer, s shift.Status) error {
	lines := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	fmt.Fprintf(lines, "shift\t%s\n", s.ID)
	fmt.Fprintf(lines, "state\t%s, %.0f %%\n", s.State, s.Percent)
	if s.Cause != "" {
		fmt.Fprintf(lines, "because\t%s\n", s.Cause)
	}
	fmt.Fprintf(lines, "now\t%s\n", weightsText(s.Now))
	fmt.Fprintf(lines, "to\t%s\n", weightsText(s.To))
	return lines.Flush()
}

// weightsText is weights as they are written on the command line.
func weightsText(weights map[string]float64) string {
	var words []string
	for _, name := range slices.Sorted(maps.Keys(weights)) {
		words = append(words, name+"="+strconv.FormatFloat(weights[name], 'g', 4, 64))
	}
	return strings.Join(words, " ")
}

// readTime reads a moment, or the next time that it is so late by the clock of this
// machine.
func readTime(text string, now time.Time) (time.Time, error) {
	if at, err := time.Parse(time.RFC3339, text); err == nil {
		return at, nil
	}
	clock, err := time.Parse("15:04", text)
	if err != nil {
		return time.Time{}, errors.New(strconv.Quote(text) + " is no time; say it as in 03:00 or 2026-11-27T03:00:00Z")
	}
	at := time.Date(now.Year(), now.Month(), now.Day(), clock.Hour(), clock.Minute(), 0, 0, now.Location())
	if !at.After(now) {
		at = time.Date(now.Year(), now.Month(), now.Day()+1, clock.Hour(), clock.Minute(), 0, 0, now.Location())
	}
	return at, nil
}
