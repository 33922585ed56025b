package main

import (
	"context"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/weir-gateway/weir/config/layers"
)

func runCommand() *cobra.Command {
	var path string
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Run the gateway",
		Long: `Run the gateway until SIGTERM or SIGINT, which drain it; a second one ends it
at once. A file of the configuration that changes is read again, as SIGHUP does; if
the new one has a mistake, the one that stands is kept. SIGUSR1 opens the access
log again.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			log, err := newLog()
			if err != nil {
				return exit(exitUsage, err)
			}
			stack, err := layers.New(layers.Parts{Path: path, Log: log})
			if err != nil {
				return exit(exitConfig, err)
			}
			g, err := newGateway(stack.Config(), log, options{layers: stack})
			if err != nil {
				return err
			}
			stack.Prepare, stack.Tell = g.prepare, g.telemetry.Reloaded
			return g.runWithSignals(cmd.Context())
		},
	}
	addConfigFlag(cmd, &path)
	return cmd
}

// runWithSignals runs the gateway and obeys signals. Without a file to read
// again, SIGHUP is what it is by default: the terminal has gone.
func (g *gateway) runWithSignals(ctx context.Context) error {
	ctx, drain := context.WithCancel(ctx)
	defer drain()
	signals := make(chan os.Signal, 8)
	// SIGPIPE is caught so that a log nobody reads does not end weir; not
	// ignored, because instances would inherit that.
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGUSR1, syscall.SIGPIPE)
	if g.options.layers != nil {
		signal.Notify(signals, syscall.SIGHUP)
	}
	defer signal.Stop(signals)
	force := make(chan struct{})
	go g.obey(signals, drain, force)
	return g.run(ctx, force)
}

// obey acts on signals until signals is no longer fed; the process ends then.
func (g *gateway) obey(signals <-chan os.Signal, drain func(), force chan struct{}) {
	ends := 0
	for s := range signals {
		switch s {
		case syscall.SIGHUP:
			_ = g.options.layers.Reload("SIGHUP") // it is logged
		case syscall.SIGPIPE:
		case syscall.SIGUSR1:
			g.telemetry.Reopen()
		default:
			g.log.Info("signal", "signal", s.String())
			if ends++; ends == 1 {
				drain()
			} else if ends == 2 {
				close(force)
			}
		}
	}
}

// newLog makes the log of what weir itself does, on stderr.
func newLog() (*slog.Logger, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(envOr("WEIR_LOG_LEVEL", "info"))); err != nil {
		return nil, err
	}
	return slog.New(slog.NewJSONHandler(os.Stderr, &slog.HandlerOptions{Level: level})), nil
}
