package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os/exec"
	"slices"

	"github.com/spf13/cobra"

	"github.com/weir-gateway/weir/config"
)

func validateCommand() *cobra.Command {
	var path string
	var strict, asJSON bool
	cmd := &cobra.Command{
		Use:   "validate",
		Short: "Check a configuration without running it",
		Long: `Check a configuration without running it. Mistakes are told on standard error,
all of them at once, and the exit code is 1. What is possible but hardly meant
is a warning; with --strict a warning is a mistake.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := config.Load(path)
			v := verdictOn(path, cfg, err)
			if asJSON {
				if err := printJSON(cmd.OutOrStdout(), v); err != nil {
					return err
				}
			}
			if err != nil {
				return exit(exitFailed, err)
			}
			for _, w := range v.Warnings {
				fmt.Fprintf(cmd.ErrOrStderr(), "weir: %s: warning: %s\n", path, w)
			}
			if strict && len(v.Warnings) > 0 {
				return exit(exitFailed, fmt.Errorf("%s has %s", path, plural(len(v.Warnings), "warning")))
			}
			if asJSON {
				return nil
			}
			return v.print(cmd.OutOrStdout())
		},
	}
	addConfigFlag(cmd, &path)
	cmd.Flags().BoolVar(&strict, "strict", false, "take warnings for mistakes")
	addJSONFlag(cmd, &asJSON)
	return cmd
}

func addConfigFlag(cmd *cobra.Command, path *string) {
	cmd.Flags().StringVarP(path, "config", "c", envOr("WEIR_CONFIG", "weir.yaml"), "configuration file (WEIR_CONFIG)")
}

// A verdict is what there is to say about a configuration.
type verdict struct {
	File      string    `json:"file"`
	Valid     bool      `json:"valid"`
	Hash      string    `json:"hash,omitempty"`
	Listeners int       `json:"listeners"`
	Functions int       `json:"functions"`
	Routes    int       `json:"routes"`
	Warnings  []string  `json:"warnings"`
	Mistakes  []mistake `json:"mistakes"`
}

// A mistake is one of them, with its place; line and column are 0 if it is not
// in the file.
type mistake struct {
	File    string `json:"file"`
	Line    int    `json:"line"`
	Column  int    `json:"column"`
	Message string `json:"message"`
	Hint    string `json:"hint,omitempty"`
}

func verdictOn(path string, cfg *config.Config, err error) verdict {
	v := verdict{File: path, Valid: err == nil, Warnings: []string{}, Mistakes: []mistake{}}
	var mistakes config.Errors
	switch {
	case err == nil:
		v.Hash = cfg.Hash
		v.Listeners, v.Functions, v.Routes = len(cfg.Listeners), len(cfg.Functions), len(cfg.Routes)
		v.Warnings = append(v.Warnings, hardlyMeant(cfg)...)
	case errors.As(err, &mistakes):
		for _, e := range mistakes {
			v.Mistakes = append(v.Mistakes, mistake{e.File, e.Line, e.Column, e.Message, e.Hint})
		}
	default:
		v.Mistakes = append(v.Mistakes, mistake{File: path, Message: err.Error()})
	}
	return v
}

func (v verdict) print(out io.Writer) error {
	_, err := fmt.Fprintf(out, "%s is valid: %s, %s, %s (%s)\n", v.File,
		plural(v.Listeners, "listener"), plural(v.Functions, "function"), plural(v.Routes, "route"), v.Hash)
	return err
}

// hardlyMeant tells what is possible and yet probably a slip.
func hardlyMeant(cfg *config.Config) (warnings []string) {
	warn := func(format string, args ...any) { warnings = append(warnings, fmt.Sprintf(format, args...)) }
	warnings = append(warnings, cfg.Warnings...)
	if len(cfg.Routes) == 0 {
		warn("there are no routes: every call is answered with 404")
	}
	routed := map[string]bool{}
	for _, r := range cfg.Routes {
		for _, name := range r.Functions() {
			routed[name] = true
		}
		if r.Mirror != nil {
			routed[r.Mirror.Function] = true
		}
	}
	for _, name := range slices.Sorted(maps.Keys(cfg.Functions)) {
		fn := cfg.Functions[name]
		if !routed[name] && len(cfg.Routes) > 0 {
			warn("functions.%s: no route leads to it", name)
		}
		if len(fn.Endpoints) == 0 && fn.ColdStart.Scaler == "" {
			warn("functions.%s has neither endpoints nor a scaler: every call is answered with 503", name)
		}
		if fn.Process != nil {
			if _, err := exec.LookPath(fn.Process.Command[0]); err != nil {
				warn("functions.%s.process.command: cannot be run here: %v", name, err)
			}
		}
	}
	return warnings
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
