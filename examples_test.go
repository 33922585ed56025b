package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/weir-gateway/weir/config"
)

// What is shipped as an example is a configuration.
func TestExamplesAreValid(t *testing.T) {
	examples, err := filepath.Glob("deploy/*.yaml")
	if err != nil || len(examples) == 0 {
		t.Fatal("no examples", err)
	}
	for _, example := range examples {
		if _, err := config.Load(example); err != nil {
			t.Error(err)
		}
	}
}

// What the page on routing shows as YAML is a configuration, once its functions
// are there.
func TestRoutingPageIsValid(t *testing.T) {
	page, err := os.ReadFile("docs/routing.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := strings.Split(string(page), "```yaml\n")[1:]
	if len(blocks) < 2 {
		t.Fatal("no examples")
	}
	function := regexp.MustCompile(`function: ([a-z0-9-]+)`)
	for _, block := range blocks {
		block, _, _ = strings.Cut(block, "```")
		doc := "listeners: [{ address: ':1' }]\nfunctions:\n"
		seen := map[string]bool{}
		for _, name := range function.FindAllStringSubmatch(block, -1) {
			if !seen[name[1]] {
				seen[name[1]] = true
				doc += "  " + name[1] + ": {}\n"
			}
		}
		if _, err := config.Parse("docs/routing.md", []byte(doc+block)); err != nil {
			t.Error(err)
		}
	}
}
