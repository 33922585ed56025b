package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/weir-gateway/weir/internal/admin"
)

// A busyFunction is a function and what happened to it since the last look.
type busyFunction struct {
	admin.Function
	Rate         float64 `json:"rate"`          // calls that ended, a second
	ErrorPercent float64 `json:"error_percent"` // of them, with a status of 500 and over
}

func topCommand() *cobra.Command {
	r := &remote{}
	var interval time.Duration
	var count, rows int
	cmd := &cobra.Command{
		Use:   "top",
		Short: "Watch which functions are busy, the busiest first",
		Long: `Watch which functions are busy: calls a second, how many of them fail, how many are
inside and held, and how many instances there are. On a terminal the table stays in
its place; elsewhere, and with --json, one comes after the other. Ctrl-C ends it.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if interval < 100*time.Millisecond || count < 0 || rows < 0 {
				return exit(exitUsage, errors.New("--interval must be 100ms or more, --count and --rows 0 or more"))
			}
			ctx, stop := untilSignal(cmd)
			defer stop()
			return watchFunctions(ctx, r, interval, count, func(busy []busyFunction) error {
				return showBusy(cmd.OutOrStdout(), busy, rows, r.asJSON)
			})
		},
	}
	r.flags(cmd)
	cmd.Flags().DurationVar(&interval, "interval", time.Second, "how often it looks")
	cmd.Flags().IntVar(&count, "count", 0, "how often it shows what it saw; 0 is until it is ended")
	cmd.Flags().IntVar(&rows, "rows", 0, "how many functions it shows; 0 is as many as the terminal has room for")
	return cmd
}

// watchFunctions shows, again and again, what happened between two looks.
func watchFunctions(ctx context.Context, r *remote, interval time.Duration, count int, show func([]busyFunction) error) error {
	client := admin.Client{Address: r.address}
	var before map[string]admin.Function
	var then time.Time
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for shown := 0; count == 0 || shown < count; {
		var list []admin.Function
		if err := client.Do("GET", "/api/v1/functions", nil, &list); err != nil {
			return err
		}
		now := time.Now()
		busy, seen := make([]busyFunction, 0, len(list)), make(map[string]admin.Function, len(list))
		for _, f := range list {
			seen[f.Name] = f
			busy = append(busy, since(before[f.Name], f, now.Sub(then)))
		}
		if before != nil {
			slices.SortStableFunc(busy, busiest)
			if err := show(busy); err != nil {
				return err
			}
			shown++
		}
		before, then = seen, now
		if count > 0 && shown == count {
			break
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
	return nil
}

// since is what happened to a function between two looks. One that has come anew, or
// of a weir that has, had no calls before.
func since(was, is admin.Function, took time.Duration) busyFunction {
	if is.Calls < was.Calls {
		was = admin.Function{}
	}
	b := busyFunction{Function: is, Rate: float64(is.Calls-was.Calls) / took.Seconds()}
	if n := is.Calls - was.Calls; n > 0 {
		b.ErrorPercent = 100 * float64(is.Failed-was.Failed) / float64(n)
	}
	return b
}

// busiest compares what a person looks for first.
func busiest(a, b busyFunction) int {
	return cmp.Or(cmp.Compare(b.Rate, a.Rate), cmp.Compare(b.Held, a.Held), cmp.Compare(b.InFlight, a.InFlight),
		cmp.Compare(b.Instances, a.Instances), cmp.Compare(a.Name, b.Name))
}

func showBusy(out io.Writer, busy []busyFunction, rows int, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(out).Encode(busy)
	}
	height := heightOf(out)
	if rows == 0 && height > 3 {
		rows = height - 3
	}
	if height > 0 {
		fmt.Fprint(out, "\x1b[H\x1b[2J") // the cursor to the top, and nothing below it
	}
	var rate float64
	for _, f := range busy {
		rate += f.Rate
	}
	fmt.Fprintf(out, "%s  %d functions, %.1f calls/s\n", time.Now().Format(time.TimeOnly), len(busy), rate)
	lines := tabwriter.NewWriter(out, 0, 8, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(lines, "CALLS/S\tFAIL %\tINSIDE\tHELD\tINSTANCES\t   STATE\tFUNCTION\t")
	for i, f := range busy {
		if rows > 0 && i == rows {
			break
		}
		fmt.Fprintf(lines, "%.1f\t%.1f\t%d\t%d\t%d\t   %s\t%s\t\n", f.Rate, f.ErrorPercent, f.InFlight, f.Held, f.Instances, f.State, f.Name)
	}
	return lines.Flush()
}

// heightOf is how many lines a terminal has; 0: it is none.
func heightOf(out io.Writer) int {
	file, ok := out.(*os.File)
	if !ok {
		return 0
	}
	size, err := unix.IoctlGetWinsize(int(file.Fd()), unix.TIOCGWINSZ)
	if err != nil {
		return 0
	}
	return int(size.Row)
}
