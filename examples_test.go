package main

import (
	"path/filepath"
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
