package main

import (
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/weir-gateway/weir/bench"
)

func benchStreamCommand() *cobra.Command {
	s := bench.Stream{}
	var out benchOutput
	cmd := &cobra.Command{
		Use:   "stream URL",
		Short: "Measure WebSockets, server-sent events, slow readers and slow writers",
		Long: `Measure exchanges that last. websocket sends messages at their times to a target
that echoes them, and counts the time until each is back from when it was due;
sse counts the time between events; slow-reader and slow-writer take and send
bodies in small pieces.`,
		Example: "  weir bench stream http://localhost:8080/echo --kind websocket -c 1000 --every 1s",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			s.URL = args[0]
			ctx, stop := untilSignal(cmd)
			defer stop()
			r, err := bench.RunStream(ctx, s)
			if err != nil {
				return err
			}
			r.Origin = origin()
			return out.write(cmd.OutOrStdout(), r)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&s.Kind, "kind", "websocket", strings.Join(bench.StreamKinds, ", "))
	flags.IntVarP(&s.Connections, "connections", "c", 64, "connections")
	flags.DurationVarP(&s.Duration, "duration", "d", 10*time.Second, "length of the measurement, at most 24h")
	flags.DurationVar(&s.Every, "every", 100*time.Millisecond, "between messages or pieces")
	flags.IntVar(&s.Size, "size", 64, "bytes of a message or a piece")
	flags.Int64Var(&s.Body, "body", 4096, "bytes of the body of a slow writer")
	flags.StringVar(&s.Owned, "i-own-this-target", "", "host of a target that is not this machine")
	out.add(cmd)
	return cmd
}
