package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/weir-gateway/weir/config"
	"github.com/weir-gateway/weir/proxy/http1"
)

// Exit codes; deploy/weir.service relies on them.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2
	exitForced = 3  // calls were cut off
	exitBusy   = 75 // EX_TEMPFAIL: an address is in use
	exitConfig = 78 // EX_CONFIG
)

// An exitError is an error that knows the exit code it comes to.
type exitError struct {
	error
	code int
}

func (e exitError) Unwrap() error { return e.error }

func exit(code int, err error) error { return exitError{err, code} }

// command runs the command line and returns the exit code.
func command(args []string) int {
	root := rootCommand()
	root.SetArgs(args)
	err := root.ExecuteContext(context.Background())
	if err == nil {
		return exitOK
	}
	code := exitCode(err)
	fmt.Fprintf(os.Stderr, "weir: %v\n", err)
	if code == exitUsage {
		fmt.Fprintln(os.Stderr, "weir: see weir --help")
	}
	return code
}

func exitCode(err error) int {
	var known exitError
	var config config.Errors
	switch {
	case errors.As(err, &known):
		return known.code
	case errors.As(err, &config):
		return exitConfig
	case errors.Is(err, http1.ErrForced):
		return exitForced
	case errors.Is(err, errListen) && (errors.Is(err, syscall.EADDRINUSE) || errors.Is(err, syscall.EADDRNOTAVAIL)):
		return exitBusy
	}
	return exitFailed
}

func rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:           "weir",
		Short:         "The front door of a self-hosted function platform",
		SilenceErrors: true,
		SilenceUsage:  true,

		SuggestionsMinimumDistance: 2, // the most that a slip may be off
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return exit(exitUsage, err) })
	root.AddCommand(runCommand(), demoCommand(), validateCommand(), routesCommand(), functionsCommand(), topCommand(), peersCommand(),
		regionsCommand(), drainCommand(), undrainCommand(), disableCommand(), enableCommand(), weightCommand(), shiftCommand(),
		configCommand(), fmtCommand(), explainCommand(), versionCommand(), schemaCommand(), benchCommand())
	for _, cmd := range root.Commands() {
		wrongArgsAreUsage(cmd)
	}
	root.Args = func(_ *cobra.Command, args []string) error {
		if len(args) == 0 {
			return nil
		}
		return exit(exitUsage, unknownCommand(root, args[0]))
	}
	root.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	return root
}

// wrongArgsAreUsage gives wrong arguments of a command, and of those below it,
// their exit code.
func wrongArgsAreUsage(cmd *cobra.Command) {
	for _, below := range cmd.Commands() {
		wrongArgsAreUsage(below)
	}
	check := cmd.Args
	if check == nil {
		return
	}
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if err := check(cmd, args); err != nil {
			return exit(exitUsage, err)
		}
		return nil
	}
}

func unknownCommand(root *cobra.Command, name string) error {
	err := fmt.Errorf("unknown command %q", name)
	if like := root.SuggestionsFor(name); len(like) > 0 {
		err = fmt.Errorf("%w; did you mean %q?", err, like[0])
	}
	return err
}

func envOr(name, otherwise string) string {
	if v := os.Getenv(name); v != "" {
		return v
	}
	return otherwise
}
