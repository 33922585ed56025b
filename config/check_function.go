package config

import (
	"regexp"
	"strings"
)

// validFunction is lower case because names of functions become labels, names
// of containers and of services, some of which are.
var validFunction = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,62}$`)

func (c *checker) function(p *path, fn Function) {
	if !validFunction.MatchString(fn.Name) {
		c.fail(p, "use up to 63 lower-case letters, digits, dots, dashes and underscores, a letter or digit first",
			"has an impossible name: %q", fn.Name)
	}
	c.endpoints(p.key("endpoints"), fn.Endpoints)
	c.service(p, fn)
	c.trailers(p.key("trailers"), fn.Trailers)
	c.tls(p.key("tls"), fn)
	c.timeouts(p.key("timeouts"), fn.Timeouts, c.cfg.Defaults.Timeouts)
	c.retries(p.key("retries"), fn.Retries)
	c.loadBalancing(p.key("load_balancing"), fn.LoadBalancing)
	if at := p.key("load_balancing").key("slow_start"); fn.LoadBalancing.SlowStart != nil && fn.ColdStart.Scaler != "" && c.d.sound(at, p.key("cold_start").key("scaler")) {
		c.fail(at, "take it out, or say cold_start.concurrency", "is for endpoints that come by themselves: an instance that weir starts has a few calls at first, or its limit")
	}
	c.functionRegions(p.key("regions"), fn)
	c.nearest(p.key("load_balancing").key("regions"), fn)
	c.healthCheck(p.key("health_check"), fn.HealthCheck)
	c.rateLimits(p.key("rate_limit"), fn.RateLimit)
	c.concurrency(p.key("concurrency"), fn.Concurrency)
	c.hedging(p.key("hedging"), fn.Hedging, perTry(fn.Timeouts))
	c.collapse(p.key("collapse"), fn.Collapse)
	c.circuitBreaker(p.key("circuit_breaker"), fn.CircuitBreaker)
	c.outlierDetection(p.key("outlier_detection"), fn.OutlierDetection)
	if fn.Deadline.Header != c.cfg.Defaults.Deadline.Header {
		c.fieldName(p.key("deadline").key("header"), fn.Deadline.Header)
	}
	c.coldStart(p.key("cold_start"), fn.ColdStart)
	c.ahead(p.key("cold_start"), fn)
	c.whileCold(p.key("while_cold"), fn.WhileCold, fn)
	c.lastResort(p.key("fallback"), fn.Fallback, fn.Name)
	c.scaler(p, fn)
	if fn.Docker != nil {
		c.docker(p.key("docker"), fn.Docker)
	}
	if fn.Process != nil {
		c.process(p.key("process"), fn.Process)
	}
}

func (c *checker) endpoints(p *path, endpoints []Endpoint) {
	seen := map[string]*path{}
	for i, ep := range endpoints {
		at := p.item(i)
		address := at // of the short form; the long one has a place for it
		if long := at.key("address"); c.d.isGiven(long.String()) {
			address = long
		}
		if ep.Address == "" {
			c.missing(at.key("address"), "say address: host:port")
			continue
		}
		if _, bad := readEndpoint(ep.Address); bad != nil {
			c.fail(address, bad.hint, "%s", bad.what)
		}
		if first := seen[ep.Address]; first != nil {
			c.fail(address, "for a greater share say weight", "%q is listed already at %s", ep.Address, c.d.where(first))
		}
		seen[ep.Address] = address
		c.name(at.key("region"), ep.Region)
		if ep.Zone != "" {
			c.name(at.key("zone"), ep.Zone)
		}
	}
}

func (c *checker) coldStart(p *path, cs ColdStart) {
	switch {
	case cs.MaxScale < 1:
		c.fail(p.key("max_scale"), "a function needs at least one instance to answer", "must be 1 or more, not %d", cs.MaxScale)
	case cs.MinScale > cs.MaxScale:
		c.fail(p.key("min_scale"), "lower it, or raise max_scale", "%d is over max_scale %d", cs.MinScale, cs.MaxScale)
	}
	switch {
	case cs.ActivationScale < 1:
		c.fail(p.key("activation_scale"), "a start asks for one instance at least", "must be 1 or more, not %d", cs.ActivationScale)
	case cs.ActivationScale > max(cs.MaxScale, 1):
		c.fail(p.key("activation_scale"), "lower it, or raise max_scale", "%d is over max_scale %d", cs.ActivationScale, cs.MaxScale)
	}
	c.positive(p.key("start_timeout"), cs.StartTimeout)
	if at := p.key("ready_path"); cs.ReadyPath != "" {
		c.asked(at, cs.ReadyPath, "say ready_path: /healthz")
		if cs.Scaler == "" && c.d.sound(p, p.key("scaler"), at) {
			c.fail(at, "add scaler: process, or say health_check", "is for instances, and nothing raises any")
		}
	}
	if at := p.key("prefer_warm_region"); cs.PreferWarmRegion && cs.Scaler == "" && c.d.sound(p, p.key("scaler"), at) {
		c.fail(at, "add scaler: process, or take it out", "is for a function that calls raise, and nothing raises this one")
	}
	c.placement(p, cs)
	c.readyProbe(p, cs)
	if check := cs.PreStopCheck; check != nil {
		at := p.key("pre_stop_check")
		if check.Path == "" {
			c.missing(at.key("path"), "say path: /idle")
		} else {
			c.asked(at.key("path"), check.Path, "say path: /idle")
		}
		c.positive(at.key("timeout"), check.Timeout)
	}
}

// readyProbe checks that how an instance is asked, and what for, fit together.
func (c *checker) readyProbe(p *path, cs ColdStart) {
	at, asked := p.key("ready_probe"), p.key("ready_path")
	if !c.d.isGiven(at.String()) || !c.d.sound(p, at, asked, p.key("scaler")) {
		return
	}
	switch {
	case cs.Scaler == "" && cs.ReadyProbe != "tcp":
		c.fail(at, "add scaler: process, or say health_check", "is for instances, and nothing raises any")
	case cs.ReadyProbe == "http" && cs.ReadyPath == "":
		c.missing(asked, "say ready_path: /healthz, or ready_probe: tcp")
	case cs.ReadyProbe != "http" && cs.ReadyPath != "":
		c.fail(at, "say ready_probe: http, or take ready_path out", "is %q, and so nobody would ask for ready_path", cs.ReadyProbe)
	}
}

// asked checks a path that weir itself asks for.
func (c *checker) asked(p *path, asked, hint string) {
	if asked[0] != '/' || strings.ContainsAny(asked, " #\t\r\n") || !isASCII(asked) {
		c.fail(p, hint, "is not a path: %q", asked)
	}
}

// validField is a token of RFC 9110 section 5.6.2, short enough to be a field's
// name.
var validField = regexp.MustCompile("^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}$")

func (c *checker) fieldName(p *path, name string) {
	if !validField.MatchString(name) {
		c.fail(p, "say header: x-request-timeout-ms", "is not the name of a field: %q", name)
	}
}

func (c *checker) process(p *path, proc *Process) {
	command := p.key("command")
	switch {
	case len(proc.Command) == 0:
		c.missing(command, `say command: ["./server"]`)
	case proc.Command[0] == "":
		c.fail(command.item(0), "the first is the program", "is empty")
	}
	for i, arg := range proc.Command {
		if strings.ContainsRune(arg, 0) {
			c.fail(command.item(i), "", "has a NUL in it")
		}
	}
	if strings.ContainsRune(proc.Dir, 0) {
		c.fail(p.key("dir"), "", "has a NUL in it")
	}
	for _, name := range sortedKeys(proc.Env) {
		at := p.key("env").entry(name)
		if name == "" || strings.ContainsAny(name, "=\x00") {
			c.fail(at, "", "is not the name of a variable")
		} else if strings.ContainsRune(proc.Env[name], 0) {
			c.fail(at, "", "has a NUL in it")
		}
		if reserved(name, proc.Listen) {
			c.fail(at, "take it out", "is set by weir itself")
		}
	}
	c.ports(command, proc)
	c.instanceLimits(p.key("limits"), proc.Limits)
}

// instanceLimits refuses what no program can live with, which is mostly a unit
// forgotten.
func (c *checker) instanceLimits(p *path, l InstanceLimits) {
	const leastMemory, leastCPUs = 1 << 20, 0.01
	if l.Memory != 0 && l.Memory < leastMemory {
		c.fail(p.key("memory"), "say memory: 64MiB", "must be %v or more, not %v", Size(leastMemory), l.Memory)
	}
	if l.CPUs != 0 && l.CPUs < leastCPUs {
		c.fail(p.key("cpus"), "say cpus: 0.5 for half of one", "must be %v or more, not %v", leastCPUs, l.CPUs)
	}
}

// reserved variables tell the instance where its socket is.
func reserved(name, listen string) bool {
	switch name {
	case "PORT":
		return listen == "port"
	case "LISTEN_FDS", "LISTEN_PID":
		return listen == "fd"
	}
	return false
}

// ports refuses {{port}} where there is no port to put there.
func (c *checker) ports(p *path, proc *Process) {
	for i, arg := range proc.Command {
		if proc.Listen == "fd" && strings.Contains(arg, "{{port}}") {
			c.fail(p.item(i), "say listen: port, or take it out", "has {{port}}, but with listen: fd there is none")
		}
	}
}
