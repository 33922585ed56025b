package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/weir-gateway/weir/internal/admin"
	"github.com/weir-gateway/weir/internal/telemetry"
	"github.com/weir-gateway/weir/proxy/table"
)

// defaultAdmin is where a gateway's admin interface is unless somebody says
// otherwise.
const defaultAdmin = "127.0.0.1:9901"

func addAdminFlag(cmd *cobra.Command, address *string, usage string) {
	cmd.Flags().StringVar(address, "admin", envOr("WEIR_ADMIN_ADDRESS", defaultAdmin), usage+" (WEIR_ADMIN_ADDRESS)")
}

func routesCommand() *cobra.Command {
	cmd := queryCommand("routes", "Show which calls go to which function", "/api/v1/routes",
		func(out io.Writer, routes []admin.Route) {
			fmt.Fprintln(out, "HOST\tPATH\tWHEN\tFUNCTION\tFROM")
			for _, r := range routes {
				hosts := strings.Join(r.Hosts, ",")
				if hosts == "" {
					hosts = "*"
				}
				fmt.Fprintf(out, "%s\t%s\t%s\t%s\t%s\n", hosts, pathOf(r), when(r), r.Function, r.Origin)
			}
		})
	var refused bool
	cmd.Flags().BoolVar(&refused, "refused", false, "show what of the configuration and of the sources of endpoints weir does without, and why")
	routes := cmd.RunE
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if refused {
			return query(cmd, "/api/v1/refused", showRefused)
		}
		return routes(cmd, args)
	}
	return cmd
}

func showRefused(out io.Writer, refused []table.Refusal) {
	fmt.Fprintln(out, "WHAT\tREASON")
	for _, r := range refused {
		fmt.Fprintf(out, "%s\t%s\n", r.What, r.Reason)
	}
}

// pathOf is the path of a route as its kind is told from others: a prefix has an
// asterisk, an expression a tilde.
func pathOf(r admin.Route) string {
	switch {
	case r.PathRegex != "":
		return "~" + r.PathRegex
	case r.PathPrefix != "":
		return strings.TrimRight(r.PathPrefix, "/") + "/*"
	}
	return cmp.Or(r.Path, r.PathTemplate)
}

// when is what else a call has to be.
func when(r admin.Route) string {
	var texts []string
	if r.Precedence != 0 {
		texts = append(texts, fmt.Sprintf("precedence %d", r.Precedence))
	}
	if len(r.Methods) > 0 {
		texts = append(texts, strings.Join(r.Methods, ", "))
	}
	return cmp.Or(strings.Join(append(texts, r.Conditions...), ", "), "-")
}

func functionsCommand() *cobra.Command {
	return queryCommand("functions", "Show the functions and which of them run", "/api/v1/functions",
		func(out io.Writer, functions []admin.Function) {
			fmt.Fprintln(out, "FUNCTION\tSTATE\tINSTANCES\tIN FLIGHT\tHELD\tA CALL WAITS")
			for _, f := range functions {
				fmt.Fprintf(out, "%s\t%s\t%d\t%d\t%d\t%s\n", f.Name, f.State, f.Instances, f.InFlight, f.Held, waits(f))
			}
		})
}

func peersCommand() *cobra.Command {
	return queryCommand("peers", "Show the routers that share limits", "/api/v1/peers",
		func(out io.Writer, routers []telemetry.Router) {
			fmt.Fprintln(out, "ROUTER\tTHIS ONE")
			for _, r := range routers {
				self := "-"
				if r.Self {
					self = "yes"
				}
				fmt.Fprintf(out, "%s\t%s\n", cmp.Or(r.Address, "not listed"), self)
			}
		})
}

// waits is for how long a call would be held now, as far as anybody knows.
func waits(f admin.Function) string {
	switch {
	case f.ETA == nil && f.State == "static":
		return "-"
	case f.ETA == nil:
		return "unknown"
	}
	return fmt.Sprintf("%d ms", *f.ETA)
}

// queryCommand is a command that asks a running gateway for a list, and shows
// it as a table, or as it came.
func queryCommand[T any](use, short, path string, show func(out io.Writer, list []T)) *cobra.Command {
	cmd := &cobra.Command{
		Use:   use,
		Short: short,
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return query(cmd, path, show) },
	}
	addAdminFlag(cmd, new(string), "address of the gateway's admin interface")
	addJSONFlag(cmd, new(bool))
	return cmd
}

// query asks the gateway that the command's flags name.
func query[T any](cmd *cobra.Command, path string, show func(out io.Writer, list []T)) error {
	address, asJSON := cmd.Flag("admin").Value.String(), cmd.Flag("json").Value.String() == "true"
	var answer json.RawMessage
	if err := (admin.Client{Address: address}).Get(path, &answer); err != nil {
		return err
	}
	if asJSON {
		return printJSON(cmd.OutOrStdout(), answer)
	}
	var list []T
	if err := json.Unmarshal(answer, &list); err != nil {
		return fmt.Errorf("cannot read the answer from %s: %w", address, err)
	}
	out := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 8, 2, ' ', 0)
	show(out, list)
	return out.Flush()
}
