package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/user"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/weir-gateway/weir/config/layers"
	"github.com/weir-gateway/weir/internal/admin"
)

func configCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "config",
		Short: "See and change the configuration of a running gateway",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(configHistory(), configDiff(), configRollback(), configReload(),
		configOverrides(), configSet(), configUnset())
	return cmd
}

// A remote is a command's way to a running gateway.
type remote struct {
	address        string
	asJSON         bool
	author, reason string
}

func (r *remote) flags(cmd *cobra.Command) {
	addAdminFlag(cmd, &r.address, "address of the gateway's admin interface")
	addJSONFlag(cmd, &r.asJSON)
}

// signed adds the flags of commands that change something.
func (r *remote) signed(cmd *cobra.Command) {
	name := os.Getenv("USER")
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	cmd.Flags().StringVar(&r.author, "author", name, "who wants it")
	cmd.Flags().StringVar(&r.reason, "reason", "", "why, for whoever finds it at night")
}

// ask asks the gateway, and shows the answer: as it came with --json, else by
// show.
func ask[T any](cmd *cobra.Command, r *remote, method, path string, body any, show func(out io.Writer, answer T) error) error {
	var answer json.RawMessage
	if err := (admin.Client{Address: r.address}).Do(method, path, body, &answer); err != nil {
		return err
	}
	if r.asJSON {
		return printJSON(cmd.OutOrStdout(), answer)
	}
	var read T
	if err := json.Unmarshal(answer, &read); err != nil {
		return fmt.Errorf("cannot read the answer from %s: %w", r.address, err)
	}
	return show(cmd.OutOrStdout(), read)
}

func configHistory() *cobra.Command {
	r := &remote{}
	cmd := &cobra.Command{
		Use:   "history",
		Short: "Show the last 20 configurations that stood",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return ask(cmd, r, "GET", "/api/v1/config/history", nil, func(out io.Writer, entries []layers.Entry) error {
				table := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
				fmt.Fprintln(table, "\tVERSION\tTIME\tSOURCE\tAUTHOR\tHASH\tREASON")
				for _, e := range entries {
					mark := ""
					if e.Stands {
						mark = "*"
					}
					fmt.Fprintf(table, "%s\t%d\t%s\t%s\t%s\t%s\t%s\n", mark, e.Version, e.Time.Format(time.RFC3339), e.Source, cmp.Or(e.Author, "-"), e.Hash, e.Reason)
				}
				return table.Flush()
			})
		},
	}
	r.flags(cmd)
	return cmd
}

func configDiff() *cobra.Command {
	r := &remote{}
	cmd := &cobra.Command{
		Use:   "diff [FROM [TO]]",
		Short: "Show what differs between two configurations of the history",
		Long: `Show what differs between two configurations of the history, by the versions in
weir config history: defaults filled in, secrets hidden. Without any, what the
last change was; with one, what has changed since.`,
		Args: cobra.MaximumNArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			query := url.Values{}
			for i, key := range []string{"from", "to"} {
				if i < len(args) {
					query.Set(key, args[i])
				}
			}
			return ask(cmd, r, "GET", "/api/v1/config/diff?"+query.Encode(), nil, func(out io.Writer, d layers.Diff) error {
				if d.Diff == "" {
					fmt.Fprintf(cmd.ErrOrStderr(), "weir: configurations %d and %d say the same\n", d.From.Version, d.To.Version)
				}
				_, err := io.WriteString(out, d.Diff)
				return err
			})
		},
	}
	r.flags(cmd)
	return cmd
}

func configRollback() *cobra.Command {
	r := &remote{}
	cmd := &cobra.Command{
		Use:   "rollback [VERSION]",
		Short: "Have a configuration of the history stand again, the one before if none is named",
		Long: `Have a configuration of the history stand again, the one before if none is named.
It is a new entry of the history, so it can be rolled back too. It stands until
the file is written again, a key of Consul changes, or weir restarts: put right
there what was wrong.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			asked := admin.Rollback{Author: r.author, Reason: r.reason}
			if len(args) > 0 {
				to, err := strconv.Atoi(args[0])
				if err != nil {
					return exit(exitUsage, fmt.Errorf("%q is not a version; see weir config history", args[0]))
				}
				asked.To = &to
			}
			return ask(cmd, r, "POST", "/api/v1/config/rollback", asked, stands)
		},
	}
	r.flags(cmd)
	r.signed(cmd)
	return cmd
}

func configReload() *cobra.Command {
	r := &remote{}
	cmd := &cobra.Command{
		Use:   "reload",
		Short: "Have the gateway read its files again, as SIGHUP does, and say what is wrong with them",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return ask(cmd, r, "POST", "/api/v1/config/reload", nil, stands)
		},
	}
	r.flags(cmd)
	return cmd
}

func stands(out io.Writer, e layers.Entry) error {
	_, err := fmt.Fprintf(out, "configuration %d stands (%s): %s\n", e.Version, e.Hash, e.Reason)
	return err
}

func configOverrides() *cobra.Command {
	r := &remote{}
	cmd := &cobra.Command{
		Use:   "overrides",
		Short: "Show what operators have put over the file and over Consul's keys",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return ask(cmd, r, "GET", "/api/v1/config/overrides", nil, showOverrides)
		},
	}
	r.flags(cmd)
	return cmd
}

func showOverrides(out io.Writer, o admin.Overrides) error {
	table := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(table, "PATH\tVALUE\tUNTIL\tAUTHOR\tREASON")
	for _, o := range o.Overrides {
		until := "taken back"
		if o.Until != nil {
			until = o.Until.Format(time.RFC3339)
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", o.Path, o.Value, until, cmp.Or(o.Author, "-"), cmp.Or(o.Reason, "-"))
	}
	return table.Flush()
}

func configSet() *cobra.Command {
	r := &remote{}
	var ttl time.Duration
	cmd := &cobra.Command{
		Use:   "set PATH VALUE",
		Short: "Override a value: weir config set functions/checkout/timeouts/request 5s --ttl 30m",
		Long: `Override a value of the file and of Consul's keys. PATH is the way to it with
slashes, VALUE is JSON, or a plain word such as 5s. What there could be no
configuration with is refused, and nothing changes.`,
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			value := json.RawMessage(args[1])
			if !json.Valid(value) {
				if strings.ContainsAny(args[1], "{}[]\"\n") {
					return exit(exitUsage, fmt.Errorf("%s is neither JSON nor a plain word", args[1]))
				}
				value, _ = json.Marshal(args[1]) // a text always can be
			}
			asked := admin.Override{Value: value, TTL: ttlText(ttl), Author: r.author, Reason: r.reason}
			return ask(cmd, r, "PUT", overridePath(args[0]), asked, showOverrides)
		},
	}
	r.flags(cmd)
	r.signed(cmd)
	cmd.Flags().DurationVar(&ttl, "ttl", 0, "how long it stands; without one until weir config unset")
	return cmd
}

func configUnset() *cobra.Command {
	r := &remote{}
	cmd := &cobra.Command{
		Use:   "unset PATH",
		Short: "Take an override back",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return ask(cmd, r, "DELETE", overridePath(args[0]), admin.Override{Author: r.author, Reason: r.reason}, showOverrides)
		},
	}
	r.flags(cmd)
	r.signed(cmd)
	return cmd
}

func overridePath(path string) string {
	steps := strings.Split(strings.Trim(path, "/"), "/")
	for i, step := range steps {
		steps[i] = url.PathEscape(step)
	}
	return "/api/v1/config/overrides/" + strings.Join(steps, "/")
}
