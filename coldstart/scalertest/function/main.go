package main

import "github.com/weir-gateway/weir/coldstart/scalertest"

func main() { scalertest.Play() }
