//go:build !race

package shaping

const raced = false
