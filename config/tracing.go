package config

import "net/url"

// Tracing is how weir takes part in traces (W3C Trace Context). Without an
// endpoint it takes no part: traceparent and tracestate pass as they are.
//
// The variables of OpenTelemetry go before the document:
// OTEL_EXPORTER_OTLP_ENDPOINT and OTEL_EXPORTER_OTLP_TRACES_ENDPOINT with all
// others of the exporter, OTEL_TRACES_SAMPLER and its OTEL_TRACES_SAMPLER_ARG,
// OTEL_SERVICE_NAME, OTEL_RESOURCE_ATTRIBUTES, OTEL_SDK_DISABLED.
type Tracing struct {
	// OTLPEndpoint is where the receiver of spans takes OTLP over HTTP, such as
	// http://127.0.0.1:4318; /v1/traces is added.
	OTLPEndpoint string `yaml:"otlp_endpoint"`
	// SampleRatio is the share of traces that are recorded, from 0 to 1: 0.01 is
	// one in a hundred, because a busy gateway would drown its receiver. It is
	// about traces that begin here, and those of callers that are not trusted;
	// what a trusted proxy has decided stands. Starts are always recorded.
	SampleRatio float64 `yaml:"sample_ratio" default:"0.01"`
}

// On tells whether weir takes part in traces.
func (t Tracing) On() bool { return t.OTLPEndpoint != "" }

// The variables that say where spans go. The second is for traces alone, and is
// not added to.
const (
	varEndpoint       = "OTEL_EXPORTER_OTLP_ENDPOINT"
	varTracesEndpoint = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
)

func tracingPath() *path {
	var top *path
	return top.key("telemetry").key("tracing")
}

// overrideTracing lets the variables of OpenTelemetry go before the document,
// as far as they are not the exporter's own affair.
func overrideTracing(t *Tracing, d *document, env lookup) {
	endpoint := tracingPath().key("otlp_endpoint")
	for _, variable := range []string{varEndpoint, varTracesEndpoint} {
		if value, _ := env(variable); value != "" {
			t.OTLPEndpoint = value
			d.from[endpoint.String()] = variable
		}
	}
	if off, _ := env("OTEL_SDK_DISABLED"); off == "true" {
		t.OTLPEndpoint = ""
	}
	if exporter, _ := env("OTEL_TRACES_EXPORTER"); exporter == "none" {
		t.OTLPEndpoint = ""
	}
	if !t.On() {
		return
	}
	checkProtocol(endpoint, d, env)
	overrideSampler(t, d, env)
}

// checkProtocol refuses another way of OTLP than the one that weir speaks: what
// is sent to the port of the other is lost.
func checkProtocol(endpoint *path, d *document, env lookup) {
	for _, variable := range []string{"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"} {
		switch value, _ := env(variable); value {
		case "":
		case "http/protobuf":
			return
		default:
			d.from[endpoint.String()] = variable
			d.fail(endpoint, endpoint.String()+" cannot be spoken to in \""+value+"\"",
				"weir speaks http/protobuf, for which receivers mostly have the port 4318")
			return
		}
	}
}

// overrideSampler takes the share from the sampler that is asked for. With and
// without parentbased_ they are one: whose parent counts is the listener's
// trusted_proxies.
func overrideSampler(t *Tracing, d *document, env lookup) {
	ratio := tracingPath().key("sample_ratio")
	const variable = "OTEL_TRACES_SAMPLER"
	sampler, _ := env(variable)
	switch sampler {
	case "":
	case "always_on", "parentbased_always_on":
		t.SampleRatio = 1
	case "always_off", "parentbased_always_off":
		t.SampleRatio = 0
	case "traceidratio", "parentbased_traceidratio":
		t.SampleRatio = 1 // of OpenTelemetry, where nothing is said
		if arg, _ := env(variable + "_ARG"); arg != "" {
			d.from[ratio.String()] = variable + "_ARG"
			n, bad := readDecimal(arg)
			if bad != nil {
				d.fail(ratio, ratio.String()+" "+bad.what, bad.hint)
				return
			}
			t.SampleRatio = n
		}
	default:
		d.from[ratio.String()] = variable
		d.fail(ratio, ratio.String()+" cannot be had from the sampler \""+sampler+"\"",
			"say parentbased_traceidratio, and the share in "+variable+"_ARG")
	}
}

func (c *checker) tracing(p *path, t Tracing) {
	if t.SampleRatio > 1 {
		c.fail(p.key("sample_ratio"), "it is a share, not a percentage: 0.01 is one in a hundred", "must be from 0 to 1, not %v", t.SampleRatio)
	}
	if !t.On() {
		if c.d.isGiven(p.key("sample_ratio").String()) && !c.d.isGiven(p.key("otlp_endpoint").String()) {
			c.missing(p.key("otlp_endpoint"), "say where spans go: otlp_endpoint: http://127.0.0.1:4318")
		}
		return
	}
	c.otlpEndpoint(p.key("otlp_endpoint"), t.OTLPEndpoint)
}

func (c *checker) otlpEndpoint(p *path, endpoint string) {
	const example = "write it as in http://127.0.0.1:4318"
	u, err := url.Parse(endpoint)
	switch {
	case err != nil:
		c.fail(p, example, "is not a URL: %q", endpoint)
	case u.Scheme != "http" && u.Scheme != "https":
		c.fail(p, example, "is not a URL that begins with http:// or https://: %q", endpoint)
	case u.Hostname() == "":
		c.fail(p, example, "has no host: %q", endpoint)
	case u.User != nil:
		c.fail(p, "put it into OTEL_EXPORTER_OTLP_HEADERS", "has a user name or password in it")
	case u.RawQuery != "" || u.Fragment != "":
		c.fail(p, example, "must end with its path: %q", endpoint)
	case u.Port() == "4317":
		c.fail(p, "receivers take OTLP over HTTP on 4318", "has the port that receivers use for gRPC, which weir does not speak: %q", endpoint)
	}
}
