package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/weir-gateway/weir/bench"
)

func benchCommand() *cobra.Command {
	var f benchFlags
	cmd := &cobra.Command{
		Use:   "bench URL",
		Short: "Measure a target under load, with latency from the time a call was due",
		Long: `Measure a target under load. With --rate calls are sent at their time whatever
the target does (an open loop), and latency counts from that time: a target that
stalls cannot hide it. Without, each connection sends its next call when the last
one is answered (a closed loop), which finds the highest rate.

Only targets on this machine are measured, or one of which you say that it is
yours. Time and count are always limited. Ctrl-C ends a run early, with a report.`,
		Example: `  weir bench http://localhost:8080/hello --rate 500 --duration 30s
  weir bench http://localhost:8080/hello --rate 100..5000 --poisson --html report.html
  weir bench http://localhost:8080/hello --connections 256`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			load, err := f.load(args[0])
			if err != nil {
				return exit(exitUsage, err)
			}
			ctx, stop := untilSignal(cmd)
			defer stop()
			context.AfterFunc(ctx, stop) // a second signal ends it at once
			return f.run(ctx, cmd, load)
		},
	}
	f.add(cmd)
	cmd.AddCommand(benchABCommand(), benchDiffCommand(), benchScenarioCommand(), benchStreamCommand(), benchCompareCommand(), benchEndpointCommand())
	return cmd
}

// untilSignal is a context that SIGINT and SIGTERM end, for commands that have
// something to say then: a measurement that is broken off still reports what it saw.
func untilSignal(cmd *cobra.Command) (ctx context.Context, stop context.CancelFunc) {
	return signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM)
}

// benchFlags are what a load can be given on the command line.
type benchFlags struct {
	spec           bench.Load
	rate           string
	method         string
	headers        []string
	body, bodyFile string
	sources        []string
	out            benchOutput
}

func (f *benchFlags) add(cmd *cobra.Command) {
	l, flags := &f.spec, cmd.Flags()
	flags.StringVarP(&f.rate, "rate", "r", "", "calls a second: 500, 100..2000 (a ramp), 100,200,400 (steps); none is a closed loop")
	flags.BoolVar(&l.Poisson, "poisson", false, "gaps between calls as between strangers, not regular ones")
	flags.IntVarP(&l.Connections, "connections", "c", 64, "connections, at most 200000")
	flags.IntVar(&l.PerConn, "per-connection", 0, "calls before a connection is replaced, 0: it is kept")
	flags.StringArrayVar(&f.sources, "source", nil, "local address to connect from, with a weight: 127.0.0.2=3 (may be repeated)")
	flags.DurationVarP(&l.Duration, "duration", "d", 10*time.Second, "length of the measurement, at most 24h")
	flags.Int64VarP(&l.Count, "count", "n", 100_000_000, "calls at most, warm-up included")
	flags.DurationVar(&l.Warmup, "warmup", time.Second, "before the measurement")
	flags.DurationVar(&l.Timeout, "timeout", 10*time.Second, "deadline of each call, from the time it was due")
	flags.IntVar(&l.Workers, "workers", 1, "event loops, a core each")
	flags.StringVarP(&f.method, "method", "X", "GET", "method")
	flags.StringArrayVarP(&f.headers, "header", "H", nil, "header, as 'Name: value' (may be repeated)")
	flags.StringVar(&f.body, "body", "", "body of each call")
	flags.StringVar(&f.bodyFile, "body-file", "", "file with the body of each call")
	flags.StringVar(&l.ShareBy, "share-by", "", "header of answers that says who gave them, for shares over time")
	flags.Uint64Var(&l.Seed, "seed", 1, "of all that is random")
	flags.BoolVar(&l.Endures, "keep-going", false, "do not end when the target is gone")
	flags.StringVar(&l.Owned, "i-own-this-target", "", "host of a target that is not this machine")
	f.out.add(cmd)
}

func (f *benchFlags) load(url string) (bench.Load, error) {
	l := f.spec
	l.URL, l.ShareBy = url, strings.ToLower(l.ShareBy)
	kind := bench.Kind{Method: f.method, Header: map[string]string{}, Body: []byte(f.body)}
	for _, h := range f.headers {
		name, value, ok := strings.Cut(h, ":")
		if !ok || name == "" {
			return l, fmt.Errorf("header %q: want 'Name: value'", h)
		}
		kind.Header[strings.TrimSpace(name)] = strings.TrimSpace(value)
	}
	if f.bodyFile != "" {
		body, err := os.ReadFile(f.bodyFile)
		if err != nil {
			return l, err
		}
		kind.Body = body
	}
	l.Kinds = []bench.Kind{kind}
	if f.rate != "" {
		steps, err := bench.ParseRate(f.rate, l.Duration)
		if err != nil {
			return l, err
		}
		l.Steps = steps
	}
	for _, text := range f.sources {
		s, err := parseSource(text)
		if err != nil {
			return l, err
		}
		l.Sources = append(l.Sources, s)
	}
	return l, nil
}

func parseSource(text string) (s bench.Source, err error) {
	address, weight, given := strings.Cut(text, "=")
	s.Weight = 1
	if s.Address, err = netip.ParseAddr(address); err != nil {
		return s, fmt.Errorf("source %q: %w", text, err)
	}
	if given {
		if s.Weight, err = strconv.Atoi(weight); err != nil || s.Weight < 1 {
			return s, fmt.Errorf("source %q: the weight is not a number of 1 or more", text)
		}
	}
	return s, nil
}

func (f *benchFlags) run(ctx context.Context, cmd *cobra.Command, load bench.Load) error {
	watch, done := bench.Show(cmd.ErrOrStderr())
	r, err := bench.Run(ctx, load, watch)
	done()
	if err != nil {
		return err
	}
	r.Origin = origin()
	if err := f.out.write(cmd.OutOrStdout(), r); err != nil {
		return err
	}
	if r.Died {
		return errors.New("the target died during the run; the figures are of the time before")
	}
	return nil
}

// benchOutput is where a report goes, and in which forms.
type benchOutput struct {
	json               bool
	save, html, digest string
}

func (o *benchOutput) add(cmd *cobra.Command) {
	addJSONFlag(cmd, &o.json)
	cmd.Flags().StringVar(&o.save, "save", "", "file for the report as JSON, for weir bench diff")
	cmd.Flags().StringVar(&o.html, "html", "", "file for the report as a page")
	cmd.Flags().StringVar(&o.digest, "markdown", "", "file for the report as Markdown")
}

// origin says where figures come from.
func origin() bench.Origin {
	return bench.Origin{Version: version, Revision: revision, Command: strings.Join(append([]string{"weir"}, os.Args[1:]...), " "),
		Machine: bench.Machine(), Load: bench.MachineLoad()}
}

// A benchReport can be written in each form.
type benchReport interface {
	WriteText(io.Writer) error
	WriteJSON(io.Writer) error
	WriteHTML(io.Writer) error
	WriteMarkdown(io.Writer) error
}

func (o *benchOutput) write(stdout io.Writer, r benchReport) error {
	for _, to := range []struct {
		path  string
		write func(io.Writer) error
	}{{o.save, r.WriteJSON}, {o.html, r.WriteHTML}, {o.digest, r.WriteMarkdown}} {
		if to.path == "" {
			continue
		}
		if err := writeTo(to.path, to.write); err != nil {
			return err
		}
	}
	if o.json {
		return r.WriteJSON(stdout)
	}
	return r.WriteText(stdout)
}

func writeTo(path string, write func(io.Writer) error) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	return errors.Join(write(f), f.Close())
}
