package config

import (
	"strings"
	"testing"
)

// FuzzLayers: whatever a key of Consul or an override says, wherever: there is a
// Config, it is valid, and the piece is in it or refused with a reason.
func FuzzLayers(f *testing.F) {
	for _, seed := range [][2]string{
		{"functions/hello/timeouts/request", "1s"},
		{"functions/hello", "{ endpoints: [\"127.0.0.1:1\"], tls: null }"},
		{"functions", "{ hello: null, new: {} }"},
		{"routes/x", "{ path_prefix: /x, function: hello }"},
		{"routes", "[]"},
		{"defaults", "timeouts: { request: 0s }"},
		{"cold_start/max_pending", "${NUMBER}"},
		{"functions/shop/process/command", "[x]"},
		{"functions/shop/cold_start", "&a { max_scale: 1 }"},
		{"include", "/etc/passwd"},
		{"functions//", "]["},
	} {
		f.Add(seed[0], seed[1])
	}
	files := filesOn(disk{}, "weir.yaml", []byte(layered), world)
	f.Fuzz(func(t *testing.T, path, text string) {
		one := Fragment{Layer: "consul", Name: "consul:" + path, Path: strings.Split(path, "/"), Text: text}
		cfg, err := files.With([]Fragment{one, in("override", "functions/hello/timeouts/idle", "7s")})
		if err != nil {
			t.Fatalf("%q at %q costs everything: %v", text, path, err)
		}
		valid(t, cfg)
		if shop := cfg.Functions["shop"]; shop.Process == nil || len(shop.Process.Command) != 1 || shop.Process.Command[0] != "/bin/shop" {
			t.Fatalf("%q at %q changes what runs here: %+v", text, path, shop.Process)
		}
		for _, fn := range cfg.Functions {
			if fn.Name != "shop" && fn.Process != nil {
				t.Fatalf("%q at %q runs %v", text, path, fn.Process.Command)
			}
		}
		for _, r := range cfg.Refused {
			if r.Reason == "" {
				t.Fatalf("%q at %q is refused without a reason", text, path)
			}
		}
	})
}
