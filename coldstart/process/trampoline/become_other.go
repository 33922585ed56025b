//go:build !linux

package trampoline

import "errors"

func become(string, string, []string) error { return errors.New("only Linux has this") }
