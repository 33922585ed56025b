package config

import (
	"slices"
	"testing"
)

// Where nobody may say whose a call is, the operator hears of it.
func TestTenantsNobodySays(t *testing.T) {
	f := func(listener string, want ...string) {
		t.Helper()
		cfg, err := parse("weir.yaml", []byte("listeners: ["+listener+"]\ntenants: { header: x-tenant }\n"), world)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(cfg.Warnings, want) {
			t.Errorf("warnings %q, want %q", cfg.Warnings, want)
		}
	}
	f("{ address: ':8080', trusted_proxies: [10.0.0.0/8] }")
	f("{ address: ':8080' }",
		"weir.yaml:2:20: tenants.header is for trusted proxies, and no listener has trusted_proxies: no call will have a tenant")
}
