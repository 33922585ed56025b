package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/weir-gateway/weir/config"
	"github.com/weir-gateway/weir/internal/admin"
	"github.com/weir-gateway/weir/proxy/table"
)

func regionsCommand() *cobra.Command {
	return queryCommand("regions", "Show the regions, and which share of each function's calls they have", "/api/v1/regions", showRegions)
}

func showRegions(out io.Writer, regions []admin.Region) {
	fmt.Fprintln(out, "REGION\tFUNCTION\tWEIGHT\tPRIORITY\tSTATE\tHEALTHY\tSHARE")
	for _, r := range regions {
		if len(r.Functions) == 0 {
			state := table.Active
			switch {
			case r.Disabled:
				state = table.RegionDisabled
			case r.Drain:
				state = table.RegionDrained
			}
			fmt.Fprintf(out, "%s\t-\t%v\t%d\t%s\t-\t-\n", r.Name, r.Weight, r.Priority, state)
		}
		for _, f := range r.Functions {
			healthy := strconv.Itoa(f.Healthy)
			if r.Disabled {
				healthy = "-" // nobody looks
			}
			fmt.Fprintf(out, "%s\t%s\t%v\t%d\t%s\t%s/%d\t%.2f %%\n", r.Name, f.Function, f.Weight, f.Priority, f.State, healthy, f.Endpoints, 100*f.Share)
		}
	}
}

// explainShares says how the calls of a function are divided between regions.
func explainShares(cmd *cobra.Command, r *remote, file, function, health, client string) error {
	at, err := admin.ReadClient(client)
	if err != nil {
		return exit(exitUsage, err)
	}
	var counts map[string]table.Health
	if health != "" {
		if counts, err = admin.ReadHealth(health); err != nil {
			return exit(exitUsage, err)
		}
	}
	if file == "" {
		query := url.Values{"function": {function}}
		if health != "" {
			query.Set("health", health)
		}
		if client != "" {
			query.Set("client", client)
		}
		return ask(cmd, r, "GET", "/api/v1/explain?"+query.Encode(), nil, showShares)
	}
	cfg, err := config.Load(file)
	if err != nil {
		return exit(exitFailed, err)
	}
	fn, known := cfg.Functions[function]
	if !known {
		names := slices.Sorted(maps.Keys(cfg.Functions))
		return exit(exitFailed, fmt.Errorf("there is no function %q in %s; there is %s", function, file, strings.Join(names, ", ")))
	}
	shares := table.ExplainShares(cfg, *fn, counts, at)
	if r.asJSON {
		return printJSON(cmd.OutOrStdout(), shares)
	}
	return showShares(cmd.OutOrStdout(), shares)
}

func showShares(out io.Writer, s table.Shares) error {
	lines := tabwriter.NewWriter(out, 0, 8, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(lines, "REGION\tSHARE\t")
	for _, name := range slices.Sorted(maps.Keys(s.Shares)) {
		fmt.Fprintf(lines, "%s\t%.2f %%\t\n", name, s.Shares[name])
	}
	if err := lines.Flush(); err != nil {
		return err
	}
	for _, why := range s.Why {
		if _, err := fmt.Fprintf(out, "  because  %s\n", why); err != nil {
			return err
		}
	}
	return nil
}

func drainCommand() *cobra.Command {
	return steerCommand("drain REGION", "Let no new call into a region, until weir undrain", `Let no new call into a region, of any function, until weir undrain or the end of
--ttl. Calls under way end, clients with a sticky cookie stay. The share goes to the
other regions; if there is none left, calls are answered 503.`, admin.Steering{Drain: yes})
}

func undrainCommand() *cobra.Command {
	return steerCommand("undrain REGION", "Let calls into a region again", `Let calls into a region again: it has its share by and by (failover.slow_start).`, admin.Steering{Drain: no})
}

func disableCommand() *cobra.Command {
	return steerCommand("disable REGION", "Do as if a region were not there, until weir enable", `Do as if a region were not there, for any function, until weir enable or the end
of --ttl: no new call goes there, also of clients with a sticky cookie, and no
health check. Calls under way end. The share goes to the other regions; if there is
none left, calls are answered 503.`, admin.Steering{Disabled: yes})
}

func enableCommand() *cobra.Command {
	return steerCommand("enable REGION", "Look at a region again, and let calls in", `Look at a region again that was disabled: it has its share by and by
(failover.slow_start), or none if it is drained too.`, admin.Steering{Disabled: no})
}

// What is asked for of a region, as JSON has it.
var yes, no = json.RawMessage(`true`), json.RawMessage(`false`)

func steerCommand(use, short, long string, asked admin.Steering) *cobra.Command {
	r := &remote{}
	var ttl time.Duration
	cmd := &cobra.Command{
		Use:   use,
		Short: short,
		Long:  long,
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			asked.TTL, asked.Author, asked.Reason = ttlText(ttl), r.author, r.reason
			return ask(cmd, r, "PUT", "/api/v1/regions/"+url.PathEscape(args[0]), asked, func(out io.Writer, region admin.Region) error {
				lines := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
				showRegions(lines, []admin.Region{region})
				return lines.Flush()
			})
		},
	}
	r.flags(cmd)
	r.signed(cmd)
	addTTLFlag(cmd, &ttl)
	return cmd
}

func weightCommand() *cobra.Command {
	r := &remote{}
	var ttl time.Duration
	cmd := &cobra.Command{
		Use:   "weight FUNCTION REGION=WEIGHT...",
		Short: "Set the weights of a function's regions: weir weight checkout us-east=50 eu-west=50",
		Long: `Set the weights that regions have for one function. Those that are not named have
what the file says; weir config unset functions/FUNCTION/regions takes it back.`,
		Args: cobra.MinimumNArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			regions, err := readWeights(args[1:])
			if err != nil {
				return exit(exitUsage, err)
			}
			value, _ := json.Marshal(regions) // of words and numbers it always can be
			asked := admin.Override{Value: value, TTL: ttlText(ttl), Author: r.author, Reason: r.reason}
			client := admin.Client{Address: r.address}
			if err := client.Do("PUT", overridePath("functions/"+args[0]+"/regions"), asked, new(json.RawMessage)); err != nil {
				return err
			}
			return explainShares(cmd, r, "", args[0], "", "")
		},
	}
	r.flags(cmd)
	r.signed(cmd)
	addTTLFlag(cmd, &ttl)
	return cmd
}

// readWeights reads us-east=50 eu-west=50 as the configuration has it.
func readWeights(words []string) (map[string]map[string]json.Number, error) {
	regions := map[string]map[string]json.Number{}
	for _, word := range words {
		name, weight, _ := strings.Cut(word, "=")
		if f, err := strconv.ParseFloat(weight, 64); err != nil || name == "" || strings.Trim(weight, "0123456789.") != "" || math.IsInf(f, 0) {
			return nil, fmt.Errorf("%q is no weight of a region; say it as in us-east=50", word)
		}
		if regions[name] != nil {
			return nil, fmt.Errorf("%s is named twice", name)
		}
		regions[name] = map[string]json.Number{"weight": json.Number(weight)}
	}
	return regions, nil
}

func addTTLFlag(cmd *cobra.Command, ttl *time.Duration) {
	cmd.Flags().DurationVar(ttl, "ttl", 0, "how long it stands; without one until it is taken back")
}

// ttlText is how long an override stands, as it is asked for.
func ttlText(ttl time.Duration) string {
	if ttl == 0 {
		return ""
	}
	return ttl.String()
}
