package main

import (
	"fmt"
	"io"
	"path"
	"regexp"
	"slices"
	"strings"
)

// failures keeps what failed in a run, and whether that can be put down to
// single tests.
type failures struct {
	tests map[name]int // how many verdicts "failed" a test and its subtests have
	hard  bool         // something failed that a second run must not excuse
}

// hardly are words of go test after which a package has not run whole, or a
// fault was seen that is one however seldom it shows.
var hardly = regexp.MustCompile(`(?m)^(panic:|fatal error:|WARNING: DATA RACE)`)

// test takes the verdict on one test.
func (f *failures) test(n name, output []string) {
	if f.tests == nil {
		f.tests = make(map[name]int)
	}
	root, _, _ := strings.Cut(n.test, "/")
	f.tests[name{n.pkg, root}]++
	f.hard = f.hard || hardly.MatchString(strings.Join(output, ""))
}

// pkg takes the verdict on a package and tells whether none of its tests is
// to blame.
func (f *failures) pkg(pkg string, output []string) (outside bool) {
	outside = true
	for n := range f.tests {
		outside = outside && n.pkg != pkg
	}
	f.hard = f.hard || outside || hardly.MatchString(strings.Join(output, ""))
	return outside
}

// again runs the tests that failed a second time, each alone, if they are no
// more than most and nothing else failed. One that passes then is counted as
// passed and named as flaky. It tells whether nothing failed in the end.
func (s *sum) again(flags []string, most int) bool {
	if s.bad.hard || len(s.bad.tests) == 0 || len(s.bad.tests) > most {
		return false
	}
	ok := true
	for _, n := range s.bad.sorted() {
		fmt.Fprintf(s.w, "AGAIN %s %s\n", path.Base(n.pkg), n.test)
		alone := newSum(io.Discard)
		only := []string{"-count=1", "-run", "^" + regexp.QuoteMeta(n.test) + "$"}
		err := alone.run(slices.Concat(flags, only), []string{n.pkg})
		if err != nil || alone.failed > 0 || alone.passed == 0 {
			ok = false
			continue
		}
		verdicts := s.bad.tests[n]
		s.failed -= verdicts
		s.passed += verdicts
		s.flaky = append(s.flaky, fmt.Sprintf("FLAKY %s %s: failed, then passed alone: a bug to mend\n", path.Base(n.pkg), n.test))
	}
	return ok
}

func (f *failures) sorted() []name {
	var all []name
	for n := range f.tests {
		all = append(all, n)
	}
	slices.SortFunc(all, func(a, b name) int {
		return strings.Compare(a.pkg+" "+a.test, b.pkg+" "+b.test)
	})
	return all
}
