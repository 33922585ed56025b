package demo

import (
	_ "embed"
	"fmt"
	"os"

	"github.com/weir-gateway/weir/config"
)

// Document is the configuration of the demo, as a file.
//
//go:embed demo.yaml
var Document []byte

// Config reads Document for these addresses. They go the way of every value
// that is not in a file, through the environment, which it changes.
func Config(listen, admin string) (*config.Config, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("cannot find the program that runs: %w", err)
	}
	for _, v := range [][2]string{
		{"WEIR_DEMO_LISTEN", listen},
		{"WEIR_DEMO_PROGRAM", program},
		{"WEIR_ADMIN_ADDRESS", admin},
	} {
		if err := os.Setenv(v[0], v[1]); err != nil {
			return nil, fmt.Errorf("cannot set %s: %w", v[0], err)
		}
	}
	return config.Parse("demo.yaml", Document)
}
