package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"strings"
)

func main() {
	file := flag.String("o", "", "also write the three numbers, and each flaky test, to this `file`")
	least := flag.Int("min", 1, "fail if fewer tests than `N` ran")
	most := flag.Int("again", 0, "run up to `N` failed tests a second time, alone")
	flag.Parse()
	packages, flags := split(flag.Args())

	s := newSum(os.Stdout)
	err := s.run(flags, packages)
	if s.again(flags, *most) {
		err = nil
	}

	ok := s.finish(err, *least)
	if *file != "" {
		text := fmt.Sprintf("%d %d %d\n%s", s.passed, s.failed, s.skipped, strings.Join(s.flaky, ""))
		if err := os.WriteFile(*file, []byte(text), 0o644); err != nil {
			fmt.Fprintln(os.Stderr, "testsum:", err)
			ok = false
		}
	}
	if !ok {
		os.Exit(1)
	}
}

// split parts PACKAGES -- FLAGS.
func split(args []string) (packages, flags []string) {
	for i, arg := range args {
		if arg == "--" {
			return args[:i], args[i+1:]
		}
	}
	return args, nil
}

// run is one go test, taken whole.
func (s *sum) run(flags, packages []string) error {
	args := append([]string{"test", "-json"}, flags...)
	cmd := exec.Command("go", append(args, packages...)...)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		return err
	}
	s.read(out)
	return cmd.Wait()
}

// An event is one line of go test -json (go doc test2json).
type event struct {
	Action     string
	Package    string
	ImportPath string // of a build event, instead of Package
	Test       string
	Output     string
	Elapsed    float64
}

// A name is one test of one package, or, with an empty test, the package.
type name struct{ pkg, test string }

// A sum is what came of one run.
type sum struct {
	w                       io.Writer
	passed, failed, skipped int

	output map[name][]string // kept until we know whether it is worth showing
	tests  map[string]int    // that passed, by package
	bad    failures
	flaky  []string // a line for each test that failed and then passed alone
}

func newSum(w io.Writer) *sum {
	return &sum{
		w:      w,
		output: make(map[name][]string),
		tests:  make(map[string]int),
	}
}

// read takes every line of r: events, and whatever else go test had to say.
func (s *sum) read(r io.Reader) {
	lines := bufio.NewReader(r)
	for {
		line, err := lines.ReadString('\n')
		var e event
		switch {
		case strings.TrimSpace(line) == "":
		case json.Unmarshal([]byte(line), &e) == nil && e.Action != "":
			s.take(e)
		default:
			fmt.Fprint(s.w, line)
		}
		if err != nil {
			return
		}
	}
}

func (s *sum) take(e event) {
	n := name{e.Package, e.Test}
	switch e.Action {
	case "build-output":
		fmt.Fprint(s.w, e.Output)
	case "output":
		if e.Test == "" && verdict(e.Output) {
			return // pkg says it in its own words
		}
		s.output[n] = append(s.output[n], e.Output)
	case "pass", "fail", "skip":
		if e.Test != "" {
			s.test(n, e.Action)
		} else {
			s.pkg(n, e)
		}
		delete(s.output, n)
	}
}

// verdict tells whether a line of a package is go test's own closing line.
func verdict(line string) bool {
	return line == "FAIL\n" || line == "PASS\n" ||
		strings.HasPrefix(line, "FAIL\t") && !strings.Contains(line, "[") // [build failed] is news
}

// test counts one test and shows what there is to see of it.
func (s *sum) test(n name, action string) {
	switch action {
	case "pass":
		s.passed++
		s.tests[n.pkg]++
	case "fail":
		s.failed++
		s.bad.test(n, s.output[n])
		s.show(n)
	case "skip":
		s.skipped++
		fmt.Fprintf(s.w, "SKIP  %s %s: %s\n", path.Base(n.pkg), n.test, s.reason(n))
	}
}

// pkg closes one package.
func (s *sum) pkg(n name, e event) {
	switch e.Action {
	case "pass":
		fmt.Fprintf(s.w, "ok    %s  %d tests, %.1fs\n", n.pkg, s.tests[n.pkg], e.Elapsed)
	case "skip":
		fmt.Fprintf(s.w, "-     %s  no tests\n", n.pkg)
	case "fail":
		if s.bad.pkg(n.pkg, s.output[n]) {
			s.failed++
		}
		s.show(n)
		// A test that was cut off by a panic or a timeout has no verdict of
		// its own; what it printed is the only trace of it.
		for m := range s.output {
			if m.pkg == n.pkg && m.test != "" {
				s.show(m)
			}
		}
		fmt.Fprintf(s.w, "FAIL  %s  %.1fs\n", n.pkg, e.Elapsed)
	}
}

func (s *sum) show(n name) {
	for _, line := range s.output[n] {
		fmt.Fprint(s.w, line)
	}
	delete(s.output, n)
}

// reason is what a skipped test said of itself.
func (s *sum) reason(n name) string {
	var said []string
	for _, line := range s.output[n] {
		line = strings.TrimSpace(line)
		if line != "" && !strings.HasPrefix(line, "===") && !strings.HasPrefix(line, "---") {
			said = append(said, line)
		}
	}
	if said == nil {
		return "no reason given"
	}
	return strings.Join(said, " ")
}

// finish prints the closing line and tells whether the run was good.
func (s *sum) finish(err error, least int) bool {
	ran := s.passed + s.failed
	ok := err == nil && s.failed == 0
	if ok && ran < least {
		fmt.Fprintf(s.w, "testsum: %d tests ran, at least %d were expected\n", ran, least)
		ok = false
	}
	if err != nil && s.failed == 0 {
		fmt.Fprintf(s.w, "testsum: go test: %v\n", err)
		s.failed++
	}
	for _, line := range s.flaky {
		fmt.Fprint(s.w, line)
	}
	fmt.Fprintf(s.w, "%d passed, %d failed, %d skipped\n", s.passed, s.failed, s.skipped)
	return ok
}
