package http1_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// peers are who gets the same bytes, in the order of the columns.
var peers = []string{"weir", "net/http", "fasthttp", "nginx", "HAProxy"}

// A wireCase is bytes from a client, maybe bytes from an endpoint, and what
// each of the peers makes of them.
//
// The files in testdata/wire are read by people first:
//
//	== the name of the case
//	clause: RFC 9112 section 2.2
//	> GET / HTTP/1.1\r\n       what the client sends, with Go's escapes, {a*80} is 80 times a
//	>> hello                   what it sends when something has come back
//	< HTTP/1.1 200 OK\r\n      what the endpoint answers to each request, if not 200 and "ok"
//	<close                     and then it closes the connection
//	show: X-A, X-B             of what the endpoint gets, these fields too
//	why: A word on the differences.
//	weir: 400 (a line does not end with CRLF); closed; -
//
// The line of a peer has the answers, what becomes of the client's connection
// (open, closed, or waits: more bytes, for all it has seen), and the calls that
// reached the endpoint whole. The test writes it with -update.
type wireCase struct {
	name, clause, why string
	send, then        []string // lines, as they stand in the file
	answer            []string
	closes            bool
	show              []string
	want              map[string]string // by peer
}

type wireGroup struct {
	file, title, intro string
	cases              []*wireCase
}

var repeated = regexp.MustCompile(`\{(.+?)\*(\d+)\}`)

// bytesOf makes bytes of lines.
func bytesOf(lines []string) (string, error) {
	var b strings.Builder
	for _, line := range lines {
		line = repeated.ReplaceAllStringFunc(line, func(s string) string {
			m := repeated.FindStringSubmatch(s)
			n, _ := strconv.Atoi(m[2])
			return strings.Repeat(m[1], n)
		})
		s, err := strconv.Unquote(`"` + strings.ReplaceAll(line, `"`, `\"`) + `"`)
		if err != nil {
			return "", fmt.Errorf("%s: %w", line, err)
		}
		b.WriteString(s)
	}
	return b.String(), nil
}

func readWire(t testing.TB) []*wireGroup {
	t.Helper()
	files, _ := filepath.Glob("testdata/wire/*.txt")
	slices.Sort(files)
	var groups []*wireGroup
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		g, err := parseWire(string(text))
		if err != nil {
			t.Fatalf("%s:%v", file, err)
		}
		g.file = file
		groups = append(groups, g)
	}
	return groups
}

func parseWire(text string) (*wireGroup, error) {
	g := &wireGroup{}
	var c *wireCase
	for i, line := range strings.Split(strings.TrimSuffix(text, "\n"), "\n") {
		key, value, _ := strings.Cut(line, ": ")
		switch {
		case line == "":
		case strings.HasPrefix(line, "# "):
			g.title = line[2:]
		case strings.HasPrefix(line, "== "):
			c = &wireCase{name: line[3:], want: map[string]string{}}
			g.cases = append(g.cases, c)
		case c == nil:
			g.intro = strings.TrimSpace(g.intro + " " + line)
		case strings.HasPrefix(line, ">> "):
			c.then = append(c.then, line[3:])
		case strings.HasPrefix(line, "> "):
			c.send = append(c.send, line[2:])
		case line == "<close":
			c.closes = true
		case strings.HasPrefix(line, "< "):
			c.answer = append(c.answer, line[2:])
		case key == "clause":
			c.clause = value
		case key == "why":
			c.why = value
		case key == "show":
			c.show = strings.Split(value, ", ")
		case slices.Contains(peers, key):
			c.want[key] = value
		default:
			return nil, fmt.Errorf("%d: what is %q?", i+1, line)
		}
	}
	return g, nil
}

// text is the group as it stands in its file.
func (g *wireGroup) text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "# %s\n\n%s\n", g.title, g.intro)
	lines := func(prefix string, lines []string) {
		for _, line := range lines {
			fmt.Fprintf(&b, "%s%s\n", prefix, line)
		}
	}
	for _, c := range g.cases {
		fmt.Fprintf(&b, "\n== %s\nclause: %s\n", c.name, c.clause)
		lines("> ", c.send)
		lines(">> ", c.then)
		lines("< ", c.answer)
		if c.closes {
			b.WriteString("<close\n")
		}
		if c.show != nil {
			fmt.Fprintf(&b, "show: %s\n", strings.Join(c.show, ", "))
		}
		if c.why != "" {
			fmt.Fprintf(&b, "why: %s\n", c.why)
		}
		for _, peer := range peers {
			if c.want[peer] != "" {
				fmt.Fprintf(&b, "%s: %s\n", peer, c.want[peer])
			}
		}
	}
	return b.String()
}

// An outcome is what a peer made of a case.
type outcome struct {
	answers []string
	state   string // open, closed, waits
	calls   []string
}

func (o outcome) String() string {
	list := func(s []string) string {
		if len(s) == 0 {
			return "-"
		}
		return strings.Join(s, " + ")
	}
	return list(o.answers) + "; " + o.state + "; " + list(o.calls)
}

func readOutcome(s string) (o outcome) {
	parts := strings.Split(s, "; ")
	if len(parts) != 3 {
		return outcome{}
	}
	list := func(s string) []string {
		if s == "-" {
			return nil
		}
		return strings.Split(s, " + ")
	}
	return outcome{list(parts[0]), parts[1], list(parts[2])}
}

// verdict is the outcome without what may differ among those who agree: the
// status of a refusal, its words, and what becomes of the connection then.
func (o outcome) verdict() string {
	var v []string
	for _, a := range o.answers {
		if a[0] >= '4' {
			a = "refused"
		}
		v = append(v, strings.Replace(a, " chunked", "", 1))
	}
	if len(v) == 0 {
		v = append(v, o.state)
	}
	return strings.ToLower(strings.Join(v, ",") + " " + strings.Join(o.calls, ","))
}
