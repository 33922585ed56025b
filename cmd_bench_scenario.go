package main

import (
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/weir-gateway/weir/bench"
)

func benchScenarioCommand() *cobra.Command {
	var out benchOutput
	var duration time.Duration
	cmd := &cobra.Command{
		Use:   "scenario NAME|FILE",
		Short: "Start weir and endpoints, let something happen, and judge",
		Long: `Play a scenario: start this weir and endpoints on loopback, put load on them,
let things happen, and compare what came of it with thresholds. The exit code
is 1 if one is broken. Built in are ` + strings.Join(bench.Scenarios(), ", ") + `;
a file is written like them (bench/scenarios).`,
		Example: "  weir bench scenario steady\n  weir bench scenario soak --duration 10m --html soak.html",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			s, err := bench.ReadScenario(args[0])
			if err != nil {
				return exit(exitUsage, err)
			}
			if duration > 0 {
				s.Load.Duration = duration
			}
			weir, err := os.Executable()
			if err != nil {
				return err
			}
			ctx, stop := untilSignal(cmd)
			defer stop()
			watch, done := bench.Show(cmd.ErrOrStderr())
			r, broken, err := s.Play(ctx, weir, watch)
			done()
			if err != nil {
				return err
			}
			r.Origin = origin()
			if err := out.write(cmd.OutOrStdout(), r); err != nil {
				return err
			}
			if len(broken) > 0 {
				return fmt.Errorf("%s: %s", args[0], strings.Join(broken, "; "))
			}
			return nil
		},
	}
	cmd.Flags().DurationVar(&duration, "duration", 0, "length of the measurement, instead of the scenario's")
	out.add(cmd)
	return cmd
}
