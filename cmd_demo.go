package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/weir-gateway/weir/config"
	"github.com/weir-gateway/weir/internal/demo"
	"github.com/weir-gateway/weir/proxy"
)

func demoCommand() *cobra.Command {
	var listen, admin string
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Run the gateway with functions that start when they are called",
		Long: `Run the gateway on a configuration of its own: six functions, each this very
program in another role, and none of them runs before it is called. Nothing
else has to be installed. A line on standard output tells each thing that
happens. Ctrl-C ends it all.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := demo.Config(listen, admin)
			var mistakes config.Errors
			if errors.As(err, &mistakes) {
				return exit(exitUsage, err) // the document is ours, the addresses are not
			}
			if err != nil {
				return err
			}
			return runDemo(cmd.Context(), cfg)
		},
	}
	cmd.Flags().StringVar(&listen, "listen", "127.0.0.1:8080", "address to take calls on")
	addAdminFlag(cmd, &admin, "address of the admin interface")
	return cmd
}

func runDemo(ctx context.Context, cfg *config.Config) error {
	screen := demo.NewScreen(os.Stdout)
	g, err := newGateway(cfg, slog.New(screen.Handler()), options{
		recorder: func(next proxy.Recorder) proxy.Recorder { return narrator{next, screen} },
		serving:  func(listeners []string, admin string) { screen.Print(introduction(listeners[0], admin)) },
	})
	if err != nil {
		return err
	}
	on, stop := context.WithCancel(context.Background())
	shown := make(chan struct{})
	go func() {
		defer close(shown)
		screen.Run(on)
	}()
	err = g.runWithSignals(ctx)
	stop()
	select { // a terminal that takes nothing must not keep us
	case <-shown:
	case <-time.After(time.Second):
	}
	if errors.Is(err, errListen) {
		err = fmt.Errorf("%w; choose other addresses with --listen and --admin", err)
	}
	return err
}

// A narrator tells the screen of each call that is over.
type narrator struct {
	next   proxy.Recorder
	screen *demo.Screen
}

func (n narrator) Record(c *proxy.Call) {
	n.screen.Answered(demo.Answer{
		Function: c.Function().Name,
		Status:   c.Status(),
		Cause:    c.Cause(),
		Took:     c.Duration(),
		Held:     c.Held(),
	})
	n.next.Record(c)
}

// introduction is what a person reads first.
func introduction(listen, admin string) string {
	at := reachable(listen)
	functions := self() + " functions"
	if admin != defaultAdmin {
		functions += " --admin " + admin
	}
	var b strings.Builder
	fmt.Fprintf(&b, "weir %s takes calls on http://%s, its admin interface is http://%s.\n", version, at, reachable(admin))
	fmt.Fprint(&b, "Six functions are configured; none of them runs. Type in another terminal:\n\n")
	for _, line := range [][2]string{
		{"curl -i " + at + "/hello", "a process starts, answers, and stays for a while"},
		{"curl " + at + "/slow", "this one takes 2 s to start: the call waits for it"},
		{"xdg-open http://" + at + "/slow", "the same in a browser, which shows a page while it waits"},
		{"curl " + at + "/shop " + at + "/checkout", "each takes 1 s to start; the second is started with the first"},
		{"curl -N " + at + "/stream", "events, passed on as they come"},
		{"curl -i " + at + "/broken", "it never starts: the answer says so, and when to try again"},
		{"for i in $(seq 200); do curl -s " + at + "/slow & done; wait", "one start answers them all"},
		{functions, "which of them run now"},
	} {
		fmt.Fprintf(&b, "  # %s\n  %s\n", line[1], line[0])
	}
	fmt.Fprintf(&b, "\nWhat nobody calls for 15 s goes back to nothing. Ctrl-C ends it all.\n\n")
	return b.String()
}

// reachable is an address that we listen on as somebody on this machine would
// write it.
func reachable(address string) string {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return address
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && (ip.IsUnspecified() || ip.Equal(net.IPv4(127, 0, 0, 1))) {
		host = "localhost"
	}
	return net.JoinHostPort(host, port)
}

// self is what to type to run this program once more.
func self() string {
	if strings.Contains(os.Args[0], "go-build") {
		return "go run ."
	}
	return os.Args[0]
}
