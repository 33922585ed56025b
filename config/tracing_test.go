package config

import "testing"

const traced = "telemetry: { tracing: { otlp_endpoint: \"http://file:4318\", sample_ratio: 0.5 } }\n" + smallest

func TestTracingFromTheEnvironment(t *testing.T) {
	f := func(doc string, env lookup, want Tracing) {
		t.Helper()
		cfg, err := parse("weir.yaml", []byte(doc), env)
		if err != nil {
			t.Fatal(err)
		}
		if got := cfg.Telemetry.Tracing; got != want {
			t.Errorf("%+v, want %+v", got, want)
		}
	}
	f(smallest, with(), Tracing{"", 0.01})
	f(smallest, with("OTEL_TRACES_SAMPLER", "nonsense"), Tracing{"", 0.01}) // nobody asks
	f(smallest, with(varEndpoint, "http://env:4318"), Tracing{"http://env:4318", 0.01})
	f(traced, with(), Tracing{"http://file:4318", 0.5})
	f(traced, with(varEndpoint, "http://env:4318"), Tracing{"http://env:4318", 0.5})
	f(traced, with(varEndpoint, "http://env:4318", varTracesEndpoint, "http://traces:4318/t"), Tracing{"http://traces:4318/t", 0.5})
	f(traced, with("OTEL_SDK_DISABLED", "true"), Tracing{"", 0.5})
	f(traced, with("OTEL_TRACES_EXPORTER", "none"), Tracing{"", 0.5})
	f(traced, with("OTEL_TRACES_SAMPLER", "parentbased_always_on"), Tracing{"http://file:4318", 1})
	f(traced, with("OTEL_TRACES_SAMPLER", "always_off"), Tracing{"http://file:4318", 0})
	f(traced, with("OTEL_TRACES_SAMPLER", "traceidratio", "OTEL_TRACES_SAMPLER_ARG", "0.125"), Tracing{"http://file:4318", 0.125})
	f(traced, with("OTEL_TRACES_SAMPLER", "traceidratio"), Tracing{"http://file:4318", 1})
	f(traced, with("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/protobuf"), Tracing{"http://file:4318", 0.5})

	refuses := func(env lookup, want string) {
		t.Helper()
		if _, err := parse("weir.yaml", []byte(traced), env); err == nil || err.Error() != want {
			t.Errorf("%v, want %s", err, want)
		}
	}
	refuses(with(varEndpoint, "collector:4318"),
		`OTEL_EXPORTER_OTLP_ENDPOINT: telemetry.tracing.otlp_endpoint is not a URL that begins with http:// or https://: "collector:4318"; write it as in http://127.0.0.1:4318`)
	refuses(with("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
		`OTEL_EXPORTER_OTLP_PROTOCOL: telemetry.tracing.otlp_endpoint cannot be spoken to in "grpc"; weir speaks http/protobuf, for which receivers mostly have the port 4318`)
	refuses(with("OTEL_TRACES_SAMPLER", "jaeger_remote"),
		`OTEL_TRACES_SAMPLER: telemetry.tracing.sample_ratio cannot be had from the sampler "jaeger_remote"; say parentbased_traceidratio, and the share in OTEL_TRACES_SAMPLER_ARG`)
	refuses(with("OTEL_TRACES_SAMPLER", "traceidratio", "OTEL_TRACES_SAMPLER_ARG", "1.5"),
		`OTEL_TRACES_SAMPLER_ARG: telemetry.tracing.sample_ratio must be from 0 to 1, not 1.5; it is a share, not a percentage: 0.01 is one in a hundred`)
}
