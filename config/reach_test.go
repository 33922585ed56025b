package config

import (
	"slices"
	"testing"
)

func TestUnreachableRoutes(t *testing.T) {
	f := func(routes string, want ...string) {
		t.Helper()
		cfg, err := parse("weir.yaml", []byte("listeners: [{ address: ':8080' }]\nfunctions: { a: {} }\nroutes:\n"+routes), world)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(cfg.Warnings, want) {
			t.Errorf("warnings %q, want %q", cfg.Warnings, want)
		}
	}
	never := "weir.yaml:5:3: routes[1] is never reached: routes[0] at weir.yaml:4:3 takes its calls"
	f("- { path_prefix: /a, function: a }\n- { path_prefix: /, function: a }\n")
	f("- { path_prefix: /, precedence: 1, function: a }\n- { path_prefix: /a/b, function: a }\n", never)
	f("- { path_prefix: /, precedence: 1, function: a }\n- { path_prefix: /a/b, precedence: 1, function: a }\n")
	f("- { path_prefix: /, precedence: 1, methods: [GET], function: a }\n- { path_prefix: /a/b, function: a }\n")
	f("- { path_prefix: /a, precedence: 1, function: a }\n- { path: /a/b/c, function: a }\n", never)
	f("- { path_prefix: /a, precedence: 1, function: a }\n- { path: /ab, function: a }\n")
	f("- { path_prefix: /a, precedence: 1, function: a }\n- { path_template: '/a/{x}', function: a }\n", never)
	f("- { path_prefix: /a, precedence: 1, function: a }\n- { path_template: '/{x}/a', function: a }\n")
	f("- { path_prefix: /a, precedence: 1, function: a }\n- { path_regex: '/a/[0-9]+', function: a }\n", never)
	f("- { path_prefix: /a, precedence: 1, function: a }\n- { path_regex: '/a[0-9]+', function: a }\n")
	f("- { path_regex: '/.*', function: a }\n- { path_prefix: /a, methods: [GET], function: a }\n", never)
	f("- { path_regex: '/.*', function: a }\n- { path: /a, function: a }\n")
	f("- { path_regex: '/.*', function: a }\n- { hosts: [x.org], path_prefix: /a, function: a }\n")
	f("- { path_prefix: /, precedence: 2, function: a }\n- { hosts: [x.org, '*.x.org'], path_prefix: /a, precedence: 1, function: a }\n",
		"weir.yaml:5:3: routes[1] is never reached: routes[0] at weir.yaml:4:3 takes its calls")
	f("- { hosts: ['*.org'], path_prefix: /, precedence: 2, function: a }\n- { hosts: [x.org, '*.x.org'], path_prefix: /a, function: a }\n", never)
	f("- { hosts: ['*.x.org'], path_prefix: /, precedence: 2, function: a }\n- { hosts: [x.org, '*.x.org'], path_prefix: /a, function: a }\n")
	f("- { hosts: [x.org], path_prefix: /, precedence: 2, function: a }\n- { path_prefix: /a, function: a }\n")
}
