package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/weir-gateway/weir/internal/admin"
)

// defaultAdmin is where a gateway's admin interface is unless somebody says
// otherwise.
const defaultAdmin = "127.0.0.1:9901"

func addAdminFlag(cmd *cobra.Command, address *string, usage string) {
	cmd.Flags().StringVar(address, "admin", envOr("WEIR_ADMIN_ADDRESS", defaultAdmin), usage+" (WEIR_ADMIN_ADDRESS)")
}

func routesCommand() *cobra.Command {
	return queryCommand("routes", "Show which calls go to which function", "/api/v1/routes",
		func(out io.Writer, routes []admin.Route) {
			fmt.Fprintln(out, "HOST\tPATH\tFUNCTION")
			for _, r := range routes {
				hosts := strings.Join(r.Hosts, ",")
				if hosts == "" {
					hosts = "*"
				}
				fmt.Fprintf(out, "%s\t%s\t%s\n", hosts, r.PathPrefix, r.Function)
			}
		})
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
	var address string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   use,
		Short: short,
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
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
			table := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 8, 2, ' ', 0)
			show(table, list)
			return table.Flush()
		},
	}
	addAdminFlag(cmd, &address, "address of the gateway's admin interface")
	addJSONFlag(cmd, &asJSON)
	return cmd
}
