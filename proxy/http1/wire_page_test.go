package http1_test

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
)

const versionsFile = "testdata/wire/versions"

// readVersions says of which peers the table tells.
func readVersions(t *testing.T) *sync.Map {
	t.Helper()
	versions := &sync.Map{}
	text, err := os.ReadFile(versionsFile)
	if err != nil && !*update {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		name, version, _ := strings.Cut(strings.TrimSpace(line), " ")
		versions.Store(name, version)
	}
	return versions
}

func writeVersions(t *testing.T, versions *sync.Map) {
	t.Helper()
	var b strings.Builder
	for _, name := range peers[1:] {
		version, _ := versions.Load(name)
		fmt.Fprintf(&b, "%s %v\n", name, version)
	}
	if err := os.WriteFile(versionsFile, []byte(b.String()), 0o644); err != nil {
		t.Fatal(err)
	}
}

const pageIntro = `# What weir makes of bytes

The same bytes, given to weir and to others: to net/http's server with an
httputil.ReverseProxy behind it, to a fasthttp server whose handler gives the
request to a HostClient, to nginx and to HAProxy, each with the shortest
configuration that forwards. This page is written by a test
(` + "`go test ./proxy/http1 -run TestWire -update`" + `) from the files in
[proxy/http1/testdata/wire](../proxy/http1/testdata/wire), and fails when weir
does anything else. *%d cases; compared with %s.*

A cell has what the client is answered, what becomes of its connection if that
does not stay open (closed; waits: for more bytes), and after the arrow the
calls that reached the endpoint whole, with host, target and body. "=" is the
same as weir. The endpoint answers 200 and "ok" if the case does not say what.
What is the same for all of them needs no word; what is not has one.
`

// page is docs/wire.md.
func page(groups []*wireGroup, versions *sync.Map) string {
	var with []string
	for _, name := range peers[1:] {
		version, _ := versions.Load(name)
		with = append(with, fmt.Sprintf("%s %v", name, version))
	}
	n := 0
	for _, g := range groups {
		n += len(g.cases)
	}
	var b strings.Builder
	fmt.Fprintf(&b, pageIntro, n, strings.Join(with, ", "))
	for _, g := range groups {
		fmt.Fprintf(&b, "\n## %s\n\n%s\n\n| case | bytes | %s |\n|---|---|%s\n", g.title, g.intro, strings.Join(peers, " | "), strings.Repeat("---|", len(peers)))
		for _, c := range g.cases {
			b.WriteString(c.row())
		}
	}
	return b.String()
}

func (c *wireCase) row() string {
	name := "**" + c.name + "**<br>" + c.clause
	if c.why != "" {
		name += "<br>*" + c.why + "*"
	}
	var sent []string
	for _, line := range c.send {
		sent = append(sent, code(line))
	}
	for _, line := range c.then {
		sent = append(sent, "then "+code(line))
	}
	if len(c.answer) > 0 {
		sent = append(sent, "endpoint:")
	}
	for _, line := range c.answer {
		sent = append(sent, code(line))
	}
	if c.closes {
		sent = append(sent, "and closes")
	}
	row := "| " + name + " | " + strings.Join(sent, "<br>") + " |"
	for _, peer := range peers {
		row += " " + c.cell(peer) + " |"
	}
	return row + "\n"
}

func (c *wireCase) cell(peer string) string {
	if c.want[peer] == "" {
		return "?"
	}
	o, weir := readOutcome(c.want[peer]), readOutcome(c.want["weir"])
	if peer != "weir" && o.verdict() == weir.verdict() && o.state == weir.state && plainAnswers(o) == plainAnswers(weir) && strings.EqualFold(strings.Join(o.calls, ","), strings.Join(weir.calls, ",")) {
		return "="
	}
	cell := plain(strings.Join(o.answers, " + "))
	if len(o.answers) == 0 {
		cell = "nothing"
	}
	if o.state != "open" {
		cell += ", " + o.state
	}
	if len(o.calls) > 0 && (peer == "weir" || o.verdict() != weir.verdict()) {
		var calls []string
		for _, call := range o.calls {
			calls = append(calls, code(call))
		}
		cell += " → " + strings.Join(calls, ", ")
	}
	return cell
}

// plainAnswers are the answers without weir's words.
func plainAnswers(o outcome) string {
	var all []string
	for _, a := range o.answers {
		a, _, _ = strings.Cut(a, " (")
		all = append(all, a)
	}
	return strings.Join(all, " + ")
}

var escapes = strings.NewReplacer("|", `\|`, "<", "&lt;", "*", `\*`, "_", `\_`)

func plain(s string) string { return escapes.Replace(s) }

func code(s string) string {
	return "`" + strings.NewReplacer("|", `\|`, "`", "'").Replace(s) + "`"
}

func checkPage(t *testing.T, file, want string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if got, err := os.ReadFile(file); err != nil || string(got) != want {
		t.Errorf("%s is not what the table says: %v; go test -run TestWire -update", file, err)
	}
}
