package main

import (
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/weir-gateway/weir/config"
	"github.com/weir-gateway/weir/internal/admin"
	"github.com/weir-gateway/weir/proxy/message"
	"github.com/weir-gateway/weir/proxy/table"
)

func explainCommand() *cobra.Command {
	r := &remote{}
	var file, function, health, client string
	var asked admin.Asked
	cmd := &cobra.Command{
		Use:   "explain [PATH] [--url URL] [--function NAME]",
		Short: "Say which route a call takes, how calls are divided between regions, or where values come from",
		Long: `Say which route a call takes and why, by the router that carries calls:

  weir explain --url https://api.example.com/checkout?x=1 --method POST --header "X-Canary: 1"

or how the calls of a function are divided between its regions, now or if so many
of their endpoints were healthy:

  weir explain --function checkout --health us-east=4/8,eu-west=2/2 --client 48.86,2.35

or from which layer and place each value at a path comes:

  weir explain functions.checkout

of a running gateway, or with --config of a file, without one.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			questions := len(args)
			for _, asked := range []string{asked.URL, function} {
				if asked != "" {
					questions++
				}
			}
			switch {
			case questions == 0:
				return exit(exitUsage, errors.New("say --url, --function, or the path of a value such as functions.checkout"))
			case questions > 1:
				return exit(exitUsage, errors.New("--url asks for a route, --function for shares, a path for values: take one of them"))
			case health+client != "" && function == "":
				return exit(exitUsage, errors.New("--health and --client go with --function"))
			case function != "":
				return explainShares(cmd, r, file, function, health, client)
			case asked.URL != "":
				return explainCall(cmd, r, file, asked)
			}
			return explainValues(cmd, r, file, args[0])
		},
	}
	r.flags(cmd)
	cmd.Flags().StringVarP(&file, "config", "c", "", "a configuration file instead of a running gateway")
	cmd.Flags().StringVar(&asked.URL, "url", "", "the call's URL")
	cmd.Flags().StringVar(&asked.Method, "method", "GET", "its method")
	cmd.Flags().StringArrayVar(&asked.Headers, "header", nil, `a header of it, "Name: value"; as often as needed`)
	cmd.Flags().StringVar(&function, "function", "", "whose calls are divided between regions")
	cmd.Flags().StringVar(&health, "health", "", "how many of their endpoints are healthy, of how many: us-east=4/8,eu-west=2/2")
	cmd.Flags().StringVar(&client, "client", "", "where the caller is, by latitude and longitude: 48.86,2.35")
	return cmd
}

func explainCall(cmd *cobra.Command, r *remote, file string, asked admin.Asked) error {
	show := func(out io.Writer, e admin.Explained) error { return showExplained(out, e) }
	if file == "" {
		query := url.Values{"url": {asked.URL}, "method": {asked.Method}, "header": asked.Headers}
		return ask(cmd, r, "GET", "/api/v1/explain?"+query.Encode(), nil, show)
	}
	cfg, err := config.Load(file)
	if err != nil {
		return exit(exitFailed, err)
	}
	e, err := asked.Explain(cfg, func(request *message.Request) table.Explanation { return table.Explain(cfg, request) })
	if err != nil {
		return exit(exitUsage, err)
	}
	if r.asJSON {
		return printJSON(cmd.OutOrStdout(), e)
	}
	return show(cmd.OutOrStdout(), e)
}

func explainValues(cmd *cobra.Command, r *remote, file, path string) error {
	show := func(out io.Writer, values []config.Value) error {
		if len(values) == 0 {
			return fmt.Errorf("there is nothing at %s", path)
		}
		lines := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
		fmt.Fprintln(lines, "VALUE\tIS\tFROM")
		for _, v := range values {
			fmt.Fprintf(lines, "%s\t%s\t%s\n", v.Path, v.Value, v.Origin)
		}
		return lines.Flush()
	}
	if file == "" {
		return ask(cmd, r, "GET", "/api/v1/explain?"+url.Values{"path": {path}}.Encode(), nil, show)
	}
	cfg, err := config.Load(file)
	if err != nil {
		return exit(exitFailed, err)
	}
	if r.asJSON {
		return printJSON(cmd.OutOrStdout(), append([]config.Value{}, cfg.Values(path)...))
	}
	return show(cmd.OutOrStdout(), cfg.Values(path))
}

func showExplained(out io.Writer, e admin.Explained) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s%s\n", e.Method, e.Host, e.Path)
	if e.Route != nil {
		fmt.Fprintf(&b, "goes to %s, by %s (%s)\n", e.Route.Function, e.Route.Path, e.Route.Origin)
	} else {
		fmt.Fprintf(&b, "has no route: weir answers %d\n", e.Status)
	}
	for _, why := range e.Why {
		fmt.Fprintf(&b, "  because  %s\n", why)
	}
	for _, p := range e.Passed {
		fmt.Fprintf(&b, "  not by   %s, %s to %s (%s): it asks for %s\n", p.Path, p.Rule, p.Function, p.Origin, p.Why)
	}
	for _, l := range e.Later {
		fmt.Fprintf(&b, "  before   %s, %s to %s (%s), which matches too\n", l.Path, l.Rule, l.Function, l.Origin)
	}
	for _, note := range e.Notes {
		fmt.Fprintf(&b, "  note     %s\n", note)
	}
	_, err := io.WriteString(out, b.String())
	return err
}
