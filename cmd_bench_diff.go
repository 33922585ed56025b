package main

import (
	"errors"
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/weir-gateway/weir/bench"
)

func benchABCommand() *cobra.Command {
	var f benchFlags
	var rounds int
	cmd := &cobra.Command{
		Use:   "ab URL-A URL-B",
		Short: "Compare two targets in interleaved rounds, and say whether B is slower",
		Long: `Compare two targets: the same load at each in turn, so that both see the same
machine, and a test of significance. The exit code is 1 if B is worse by more
than 2 % and chance makes such a difference less than once in a hundred times.
With --save DIR the rounds are written to A.json and B.json there, for weir
bench diff.`,
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			a, errA := f.load(args[0])
			b, errB := f.load(args[1])
			if err := errors.Join(errA, errB); err != nil {
				return exit(exitUsage, err)
			}
			ctx, stop := untilSignal(cmd)
			defer stop()
			ra, rb, err := bench.Interleave(ctx, a, b, rounds, func(round int, of string, r *bench.Report) {
				r.Origin = origin()
				fmt.Fprintf(cmd.ErrOrStderr(), "round %d of %d, %s: %.0f answers/s, p50 %s, p99 %s\n", round, rounds, of, r.Rate, r.Corrected.P50, r.Corrected.P99)
			})
			if err != nil {
				return err
			}
			if f.out.save != "" {
				err := errors.Join(writeTo(filepath.Join(f.out.save, "A.json"), ra.WriteJSON), writeTo(filepath.Join(f.out.save, "B.json"), rb.WriteJSON))
				if err != nil {
					return err
				}
			}
			return tellDifference(cmd, ra, rb, f.out.json)
		},
	}
	f.add(cmd)
	for _, name := range []string{"html", "markdown"} {
		_ = cmd.Flags().MarkHidden(name) // of one run
	}
	cmd.Flags().IntVar(&rounds, "rounds", 30, "rounds of each, 8 or more")
	return cmd
}

func benchDiffCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "diff A.json B.json",
		Short: "Say whether what B.json saw is worse than what A.json saw",
		Long: `Compare two reports that weir bench saved. The exit code is 1 if B is worse by
more than 2 % and chance makes such a difference less than once in a hundred
times. Rounds of weir bench ab are compared in pairs; of a single run each
second is a round.`,
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			a, errA := bench.ReadRounds(args[0])
			b, errB := bench.ReadRounds(args[1])
			if err := errors.Join(errA, errB); err != nil {
				return err
			}
			return tellDifference(cmd, a, b, asJSON)
		},
	}
	addJSONFlag(cmd, &asJSON)
	return cmd
}

func tellDifference(cmd *cobra.Command, a, b *bench.Rounds, asJSON bool) error {
	d, err := bench.Diff(a, b)
	if err != nil {
		return err
	}
	if asJSON {
		err = printJSON(cmd.OutOrStdout(), d)
	} else {
		err = d.WriteText(cmd.OutOrStdout())
	}
	if err == nil && d.Regression {
		err = errors.New("the second is worse than the first")
	}
	return err
}
