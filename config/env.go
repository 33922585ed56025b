package config

import (
	"fmt"
	"os"
	"strings"
)

// A lookup finds an environment variable: os.LookupEnv, or a test's.
type lookup func(name string) (value string, ok bool)

func lookupEnv(name string) (string, bool) { return os.LookupEnv(name) }

// expand replaces ${VAR} and ${VAR:-default} in the text of a value; $${ is a
// plain ${. As in a shell, the default also stands in for an empty variable.
// What cannot be replaced is given to fail and left out.
func expand(s string, env lookup, fail func(reference, message, hint string)) string {
	var out strings.Builder
	for {
		before, after, found := strings.Cut(s, "${")
		if !found {
			out.WriteString(s)
			return out.String()
		}
		if plain, escaped := strings.CutSuffix(before, "$"); escaped {
			out.WriteString(plain + "${")
			s = after
			continue
		}
		out.WriteString(before)
		inside, rest, closed := strings.Cut(after, "}")
		if !closed {
			fail("${"+after, "${ without its }", "write $${ for a plain ${")
			return out.String()
		}
		value, message, hint := resolve(inside, env)
		if message != "" {
			fail("${"+inside+"}", message, hint)
		}
		out.WriteString(value)
		s = rest
	}
}

// resolve finds the value of what is between the braces.
func resolve(inside string, env lookup) (value, message, hint string) {
	name, fallback, hasFallback := strings.Cut(inside, ":-")
	if !isVariable(name) {
		return "", fmt.Sprintf("${%s} is not a variable", inside),
			"write ${NAME} or ${NAME:-default}, and $${ for a plain ${"
	}
	value, ok := env(name)
	switch {
	case hasFallback && value == "":
		return fallback, "", ""
	case !ok:
		return "", fmt.Sprintf("the environment variable %s is not set", name),
			fmt.Sprintf("set it, or give a default: ${%s:-...}", name)
	}
	return value, "", ""
}

func isVariable(name string) bool {
	for i, c := range []byte(name) {
		letter := c == '_' || 'a' <= c|0x20 && c|0x20 <= 'z'
		if !letter && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return name != ""
}
