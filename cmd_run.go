package main

import (
	"context"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/weir-gateway/weir/config"
)

func runCommand() *cobra.Command {
	var path string
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Run the gateway",
		Long: `Run the gateway until SIGTERM or SIGINT, which drain it; a second one ends it
at once. SIGHUP reads the configuration again, and keeps the one that stands if
the new one has a mistake. SIGUSR1 opens the access log again.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := config.Load(path)
			if err != nil {
				return exit(exitConfig, err)
			}
			log, err := newLog()
			if err != nil {
				return exit(exitUsage, err)
			}
			g, err := newGateway(cfg, log, options{})
			if err != nil {
				return err
			}
			return g.runWithSignals(cmd.Context(), path)
		},
	}
	addConfigFlag(cmd, &path)
	return cmd
}

// runWithSignals runs the gateway and obeys signals. Without a file to read
// again, SIGHUP is what it is by default: the terminal has gone.
func (g *gateway) runWithSignals(ctx context.Context, path string) error {
	ctx, drain := context.WithCancel(ctx)
	defer drain()
	signals := make(chan os.Signal, 8)
	// SIGPIPE is caught so that a log nobody reads does not end weir; not
	// ignored, because instances would inherit that.
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGUSR1, syscall.SIGPIPE)
	if path != "" {
		signal.Notify(signals, syscall.SIGHUP)
	}
	defer signal.Stop(signals)
	force := make(chan struct{})
	go g.obey(signals, path, drain, force)
	return g.run(ctx, force)
}

// obey acts on signals until signals is no longer fed; the process ends then.
func (g *gateway) obey(signals <-chan os.Signal, path string, drain func(), force chan struct{}) {
	ends := 0
	for s := range signals {
		switch s {
		case syscall.SIGHUP:
			g.reread(path)
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

// reread reads the configuration again. One with a mistake changes nothing.
func (g *gateway) reread(path string) {
	cfg, err := config.Load(path)
	g.telemetry.Reloaded(cfg, err)
	if err != nil {
		g.log.Error("configuration not taken over, the last good one stands", "error", err.Error())
		return
	}
	g.log.Info("configuration read", "config", cfg.Hash)
	g.reload(cfg)
}

// newLog makes the log of what weir itself does, on stderr.
func newLog() (*slog.Logger, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(envOr("WEIR_LOG_LEVEL", "info"))); err != nil {
		return nil, err
	}
	return slog.New(slog.NewJSONHandler(os.Stderr, &slog.HandlerOptions{Level: level})), nil
}
