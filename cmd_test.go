package main

import (
	"net"
	"path/filepath"
	"strings"
	"testing"
)

func TestUsage(t *testing.T) {
	dir := t.TempDir()
	broken := filepath.Join(dir, "broken.yaml")
	write(t, broken, "listeners: [{ address: \":0\" }]\nfunctoins: {}\n")
	missing := filepath.Join(dir, "missing.yaml")
	for _, c := range []struct {
		args string
		code int
		says []string
	}{
		{"validat", 2, []string{`unknown command "validat"`, `did you mean "validate"?`}},
		{"frobnicate", 2, []string{`unknown command "frobnicate"`, "weir --help"}},
		{"run --wrong", 2, []string{"unknown flag: --wrong"}},
		{"demo now", 2, []string{"now"}},
		{"demo --listen nowhere", 2, []string{"nowhere", "has no port"}},
		{"run -c " + missing, 78, []string{missing, "no such file"}},
		{"run -c " + broken, 78, []string{broken + ":2:1:", "functoins", "functions"}},
		{"run -c " + dir, 78, []string{dir, "directory"}},
		{"validate -c " + missing, 1, []string{missing, "no such file"}},
		{"validate -c " + broken, 1, []string{broken + ":2:1:", "functoins", "functions"}},
		{"routes --admin 127.0.0.1:1", 1, []string{"127.0.0.1:1"}},
		{"functions --json --admin 127.0.0.1:1", 1, []string{"127.0.0.1:1"}},
	} {
		w := start(t, strings.Fields(c.args)...)
		if code := w.ended(); code != c.code {
			t.Errorf("weir %s: exit code %d, want %d", c.args, code, c.code)
		}
		for _, want := range c.says {
			if !strings.Contains(w.stderr.String(), want) {
				t.Errorf("weir %s: stderr %q does not have %q", c.args, w.stderr.String(), want)
			}
		}
		if w.stdout.String() != "" {
			t.Errorf("weir %s: stdout %q, want nothing", c.args, w.stdout.String())
		}
	}
}

func TestPlainCommands(t *testing.T) {
	for _, c := range []struct{ args, says string }{
		{"version", "weir dev"},
		{"version --json", `"version": "dev"`},
		{"schema", `"path_prefix"`},
		{"completion bash", "__start_weir"},
		{"--help", "weir [command]"},
	} {
		w := start(t, strings.Fields(c.args)...)
		if code := w.ended(); code != 0 || w.stderr.String() != "" {
			t.Errorf("weir %s: exit code %d, stderr %q", c.args, code, w.stderr.String())
		}
		if !strings.Contains(w.stdout.String(), c.says) {
			t.Errorf("weir %s: stdout does not have %q", c.args, c.says)
		}
	}
}

func TestValidate(t *testing.T) {
	good := filepath.Join(t.TempDir(), "weir.yaml")
	write(t, good, static("127.0.0.1:9001"))
	doubtful := filepath.Join(t.TempDir(), "weir.yaml")
	write(t, doubtful, static())
	wrong := filepath.Join(t.TempDir(), "weir.yaml")
	write(t, wrong, "listeners: [{ address: nowhere }]\nroutes:\n  - { function: f }\n")
	for _, c := range []struct {
		args           string
		code           int
		stdout, stderr []string
	}{
		{"-c " + good, 0, []string{good + " is valid: 1 listener, 1 function, 1 route"}, nil},
		{"--strict -c " + good, 0, []string{"is valid"}, nil},
		{"-c " + doubtful, 0, []string{"is valid"}, []string{"warning", "functions.f has neither endpoints nor a scaler"}},
		{"--strict -c " + doubtful, 1, nil, []string{"functions.f has neither", "has 1 warning"}},
		{"-c " + wrong, 1, nil, []string{wrong + ":1:24:", "nowhere", wrong + ":3:17:", `"f" is not under functions`}},
		{"--json -c " + good, 0, []string{`"valid": true`, `"routes": 1`}, nil},
		{"--json -c " + wrong, 1, []string{`"valid": false`, `"line": 3`}, []string{wrong + ":3:17:"}},
	} {
		w := start(t, append([]string{"validate"}, strings.Fields(c.args)...)...)
		if code := w.ended(); code != c.code {
			t.Errorf("validate %s: exit code %d, want %d", c.args, code, c.code)
		}
		check := func(name, got string, want []string) {
			if len(want) == 0 && got != "" {
				t.Errorf("validate %s: %s %q, want nothing", c.args, name, got)
			}
			for _, text := range want {
				if !strings.Contains(got, text) {
					t.Errorf("validate %s: %s %q does not have %q", c.args, name, got, text)
				}
			}
		}
		check("stdout", w.stdout.String(), c.stdout)
		check("stderr", w.stderr.String(), c.stderr)
	}
}

func TestPortInUse(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	address := taken.Addr().String()
	file := filepath.Join(t.TempDir(), "weir.yaml")
	write(t, file, strings.Replace(static("127.0.0.1:9001"), "127.0.0.1:0", address, 1))
	for _, args := range [][]string{
		{"run", "-c", file},
		{"demo", "--listen", address, "--admin", "127.0.0.1:0"},
		{"demo", "--listen", "127.0.0.1:0", "--admin", address},
	} {
		w := start(t, args...)
		if code := w.ended(); code != exitBusy {
			t.Errorf("weir %v: exit code %d, want %d", args, code, exitBusy)
		}
		if n := strings.Count(w.stderr.String(), "cannot listen on "+address+": bind: address already in use"); n != 1 {
			t.Errorf("weir %v: stderr %q tells it %d times, want 1", args, w.stderr.String(), n)
		}
		if w.stdout.String() != "" {
			t.Errorf("weir %v: stdout %q, want nothing", args, w.stdout.String())
		}
	}
}
