package config

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

const layered = `listeners: [{ address: ":8080" }]
defaults: { timeouts: { request: 5s } }
functions:
  hello: { endpoints: ["127.0.0.1:9001"], timeouts: { connect: 2s } }
  shop: { cold_start: { scaler: process, min_scale: 2, max_scale: 3 }, process: { command: [/bin/shop] } }
routes: [{ path_prefix: /, function: hello }]
`

func in(layer, path, text string) Fragment {
	return Fragment{Layer: layer, Name: layer + ":" + path, Path: strings.Split(path, "/"), Text: text}
}

func with2(t *testing.T, over ...Fragment) *Config {
	t.Helper()
	cfg, err := filesOn(disk{}, "weir.yaml", []byte(layered), world).With(over)
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

// A later layer goes before an earlier one, value by value.
func TestLayers(t *testing.T) {
	cfg := with2(t,
		in("consul", "functions/hello", "timeouts: { request: 1s }\nendpoints: [\"127.0.0.1:9002\"]"),
		in("consul", "functions/new", "{ endpoints: [\"127.0.0.1:9003\"] }"),
		in("consul", "routes/new", "{ path_prefix: /new, function: new }"),
		in("consul", "routes/more", "[{ path_prefix: /more, function: new }]"),
		in("override", "functions/hello/timeouts/request", "250ms"),
	)
	if len(cfg.Refused) != 0 {
		t.Fatalf("refused: %+v", cfg.Refused)
	}
	hello := cfg.Functions["hello"]
	if hello.Timeouts.Request != 250*time.Millisecond || hello.Timeouts.Connect != 2*time.Second {
		t.Errorf("timeouts %+v", hello.Timeouts)
	}
	if len(hello.Endpoints) != 1 || hello.Endpoints[0].Address != "127.0.0.1:9002" {
		t.Errorf("a list is replaced as a whole, not %+v", hello.Endpoints)
	}
	if len(cfg.Routes) != 3 || cfg.Routes[1].PathPrefix != "/new" || cfg.Functions["new"].Timeouts.Request != 5*time.Second {
		t.Errorf("routes %+v, new %+v", cfg.Routes, cfg.Functions["new"].Timeouts)
	}
	if plain := with2(t); plain.Hash == cfg.Hash {
		t.Error("with and without layers the hash is the same")
	}
}

// One bad value costs one value, and says why.
func TestLayersRefuse(t *testing.T) {
	for name, c := range map[string]struct {
		over []Fragment
		why  string // of the last of them
	}{
		"garbage":               {[]Fragment{in("consul", "functions/hello", "{{{")}, "not valid YAML"},
		"not a text":            {[]Fragment{in("consul", "functions/hello", "a\xff")}, "not UTF-8"},
		"empty":                 {[]Fragment{in("consul", "functions/hello", " \n")}, "is empty; say null"},
		"empty path":            {[]Fragment{in("consul", "functions//x", "1")}, "no path to a value"},
		"a slip in a name":      {[]Fragment{in("consul", "functions/helo/timeouts/request", "1s")}, `"helo" is not under functions; did you mean "hello"?`},
		"a slip in a key":       {[]Fragment{in("consul", "functions/hello/timeuots/request", "1s")}, `did you mean "timeouts"?`},
		"a wrong value":         {[]Fragment{in("consul", "functions/hello/timeouts/request", "5")}, "is 5 without a unit; say 5s or 5ms"},
		"a wrong kind":          {[]Fragment{in("consul", "functions/hello", "5")}, "functions.hello must be a mapping, not a number"},
		"nothing for a block":   {[]Fragment{in("consul", "functions/shop", "null")}, "functions.shop must be a mapping, not nothing"},
		"deep in a value":       {[]Fragment{in("consul", "functions/hello", "timeouts:\n  request: no")}, `2:12: functions.hello.timeouts.request is not a duration: "no"`},
		"huge":                  {[]Fragment{in("consul", "functions/hello", strings.Repeat("#", maxFragment+1))}, "is longer than 512KiB"},
		"where weir listens":    {[]Fragment{in("consul", "listeners", "[]")}, `"listeners" cannot be said here`},
		"another file":          {[]Fragment{in("consul", "include", "/etc/passwd")}, `"include" cannot be said here`},
		"a program to run":      {[]Fragment{in("consul", "functions/shop/process/command", "[/bin/evil]")}, "only be said in a file"},
		"a program in a block":  {[]Fragment{in("consul", "functions/x", "{ cold_start: { scaler: process }, process: { command: [/bin/evil] } }")}, "only be said in a file"},
		"our environment":       {[]Fragment{in("consul", "functions/hello/webhook/x", "${WORD}")}, "which only files may have"},
		"twice in a value":      {[]Fragment{in("consul", "functions/hello/timeouts", "{ request: 1s, request: 2s }")}, `duplicate key "request"`},
		"twice in a layer":      {[]Fragment{in("consul", "functions/hello/timeouts", "{ request: 2s }"), in("consul", "functions/hello/timeouts/request", "3s")}, "functions.hello.timeouts.request is said already by consul:functions/hello/timeouts"},
		"a route to nowhere":    {[]Fragment{in("consul", "routes/x", "{ path_prefix: /x, function: nobody }")}, `"nobody" is not under functions`},
		"a route that is there": {[]Fragment{in("consul", "routes/x", "{ function: hello }")}, "repeats the route for every host and path_prefix \"/\" at weir.yaml:6:"},
		"what breaks the file":  {[]Fragment{in("consul", "functions/shop/cold_start/max_scale", "1")}, "with it weir.yaml:5:53: functions.shop.cold_start.min_scale 2 is over max_scale 1"},
		"an alias bomb":         {[]Fragment{in("consul", "functions/hello", "a: &a [x,x]\nb: &b [*a,*a]\n")}, `unknown key "a" in functions.hello`},
	} {
		t.Run(name, func(t *testing.T) {
			over := append([]Fragment{in("consul", "defaults/timeouts/idle", "7s")}, c.over...)
			over = append(over, in("override", "functions/hello/timeouts/stream_idle", "9s"))
			cfg := with2(t, over...)
			if len(cfg.Refused) != 1 {
				t.Fatalf("%d are refused: %+v", len(cfg.Refused), cfg.Refused)
			}
			last := c.over[len(c.over)-1]
			if r := cfg.Refused[0]; r.What != last.Name || r.Layer != last.Layer || !strings.Contains(r.Reason, c.why) {
				t.Errorf("refused %+v, want %s because %s", r, last.Name, c.why)
			}
			if hello := cfg.Functions["hello"].Timeouts; hello.Idle != 7*time.Second || hello.StreamIdle != 9*time.Second {
				t.Errorf("the others cost too: %+v", hello)
			}
		})
	}
}

// Of a thousand values, hundreds of them bad, the good ones stand.
func TestLayersManyBad(t *testing.T) {
	var over []Fragment
	for i := range 1000 {
		text := fmt.Sprintf(`{ endpoints: ["127.0.0.1:%d"] }`, 10000+i)
		if i%3 == 0 {
			text = "{ endpoint: [] }"
		}
		over = append(over, in("consul", fmt.Sprintf("functions/f%d", i), text))
	}
	over = append(over, in("consul", "functions/shop/cold_start/max_scale", "1"))
	cfg := with2(t, over...)
	if len(cfg.Refused) != 335 || len(cfg.Functions) != 2+666 {
		t.Errorf("%d refused and %d functions", len(cfg.Refused), len(cfg.Functions))
	}
}

// Where values come from.
func TestOrigin(t *testing.T) {
	cfg := with2(t, in("consul", "functions/hello/timeouts/idle", "7s"), in("override", "defaults", "{ timeouts: { stream_idle: 9s } }"))
	for path, want := range map[string]string{
		"functions.hello.timeouts.connect":     "file weir.yaml:4:64",
		"functions.hello.timeouts.request":     "file weir.yaml:2:34 (defaults)",
		"functions.hello.timeouts.idle":        "consul consul:functions/hello/timeouts/idle",
		"functions.hello.timeouts.stream_idle": "override override:defaults:1:28 (defaults)",
		"functions.hello.upstream.max_dials":   "default",
		"functions.hello.endpoints[0].address": "file weir.yaml:4:24",
		"region":                               "default",
		"nonsense":                             "default",
	} {
		if got := cfg.Origin(path).String(); got != want {
			t.Errorf("%s comes from %q, want %q", path, got, want)
		}
	}
}
