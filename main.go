package main

import (
	"os"

	"github.com/weir-gateway/weir/internal/demo"
)

// Set by the linker (Makefile).
var (
	version  = "dev"
	revision = "unknown"
)

func main() {
	demo.Function(os.Args)        // this program as a function of the demo
	os.Exit(command(os.Args[1:])) // this program as itself
}
