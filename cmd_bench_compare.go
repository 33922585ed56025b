package main

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/weir-gateway/weir/bench"
)

func benchCompareCommand() *cobra.Command {
	c := bench.Contest{}
	var out benchOutput
	cmd := &cobra.Command{
		Use:   "compare",
		Short: "Measure weir beside other proxies, in interleaved rounds",
		Long: `Start weir and each peer that is installed, with an equivalent configuration
and in front of the same endpoint, and measure them in turn: processor time of
the proxy for a call, calls a second, what it adds to latency, memory. Missing
peers are named.`,
		Example: "  weir bench compare --with nginx,haproxy --rounds 10",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			for _, name := range c.With {
				if !slices.Contains(bench.Peers(), name) {
					return exit(exitUsage, fmt.Errorf("peer %q is not known, only %s", name, strings.Join(bench.Peers(), ", ")))
				}
			}
			if c.Rounds < 1 || c.Cores < 1 || c.Length < 100*time.Millisecond || c.Connections < 1 || c.Rate <= 0 || c.Crowd < 0 {
				return exit(exitUsage, fmt.Errorf("rounds, cores, connections and rate must be 1 or more, length 100ms or more"))
			}
			if c.Weir, err = os.Executable(); err != nil {
				return err
			}
			ctx, stop := untilSignal(cmd)
			defer stop()
			r, err := bench.Compare(ctx, c, func(line string) { fmt.Fprintln(cmd.ErrOrStderr(), line) })
			if err != nil {
				return err
			}
			r.Origin = origin()
			return out.write(cmd.OutOrStdout(), r)
		},
	}
	flags := cmd.Flags()
	flags.StringSliceVar(&c.With, "with", bench.Peers(), "peers")
	flags.IntVar(&c.Rounds, "rounds", 5, "rounds")
	flags.IntVar(&c.Cores, "cores", 1, "cores that each proxy may use")
	flags.IntVarP(&c.Connections, "connections", "c", 64, "connections of the closed loop")
	flags.Float64VarP(&c.Rate, "rate", "r", 2000, "calls a second of the open loop")
	flags.DurationVar(&c.Length, "length", 2*time.Second, "of each half of a round")
	flags.IntVar(&c.Crowd, "crowd", 10_000, "connections and held calls of the measure of memory, 0: not measured")
	out.add(cmd)
	return cmd
}

// benchEndpointCommand is the endpoint of a comparison and the instance of a cold start, in a process of its own.
func benchEndpointCommand() *cobra.Command {
	var listen string
	var boot time.Duration
	cmd := &cobra.Command{
		Use:    "endpoint",
		Short:  "Answer calls with 13 bytes, for a comparison",
		Hidden: true,
		Args:   cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, stop := untilSignal(cmd)
			defer stop()
			select { // as an instance does that takes its time
			case <-ctx.Done():
				return nil
			case <-time.NewTimer(boot).C:
			}
			e, err := bench.StartEndpoint(listen, bench.Behaviour{})
			if err != nil {
				return err
			}
			<-ctx.Done()
			e.Stop()
			return nil
		},
	}
	cmd.Flags().StringVar(&listen, "listen", "127.0.0.1:0", "address")
	cmd.Flags().DurationVar(&boot, "boot", 0, "wait so long before listening")
	return cmd
}
