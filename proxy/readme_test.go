package proxy

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

// readmeRow is a fault as a line of README's table.
func readmeRow(f fault) string {
	status, retry := fmt.Sprint(f.status), ""
	switch f.status {
	case 0:
		status = "cut off"
	case 499:
		status = "(499)"
	}
	if f.wait {
		retry = "yes"
	}
	return fmt.Sprintf("| %s | %s | %s | %s | %s |", status, f.slug, f.cause, f.detail, retry)
}

func TestREADMEHasTheFaultTable(t *testing.T) {
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, found := strings.Cut(string(readme), "\n| Status | Problem | Cause | Meaning | Retry-After |\n|---|---|---|---|---|\n")
	if !found {
		t.Fatal("README.md has no table of faults")
	}
	table, _, _ = strings.Cut(table, "\n\n")
	got := strings.Split(table, "\n")
	var want []string
	for _, f := range append(slices.Clone(faults), internal) {
		want = append(want, readmeRow(f))
	}
	for _, row := range want {
		if !slices.Contains(got, row) {
			t.Errorf("README.md lacks\n%s", row)
		}
	}
	for _, row := range got {
		if !slices.Contains(want, row) {
			t.Errorf("README.md has, but proxy/fault.go has not\n%s", row)
		}
	}
}
