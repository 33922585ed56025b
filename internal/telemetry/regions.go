package telemetry

import "github.com/weir-gateway/weir/proxy/table"

// writeRegions writes how the calls of a function are divided between regions, if
// they are.
func writeRegions(p *page, function string, fn *table.Function) {
	set := fn.Set()
	if z, zone := set.Preferred(); z != nil {
		p.number(z.Stays, "weir_zone_kept_ratio", "function", function, "zone", zone)
	}
	split := set.Split
	if split == nil {
		return
	}
	p.gauge(oneIf(split.Panic), "weir_panic", "function", function)
	for i := range split.Regions {
		r := &split.Regions[i]
		labels := []string{"function", function, "region", r.Name}
		p.number(r.Weight, "weir_region_weight", labels...)
		p.number(r.Share, "weir_region_share", labels...)
		p.number(r.Available, "weir_region_available_ratio", labels...)
		p.gauge(oneIf(r.Drain), "weir_region_draining", labels...)
		p.gauge(oneIf(r.Disabled), "weir_region_disabled", labels...)
	}
}

func oneIf(is bool) int {
	if is {
		return 1
	}
	return 0
}
