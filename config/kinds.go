package config

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"
)

// checkKind refuses a text where a number belongs and the other way round. Free
// texts without a key of ours, arguments and variables, may look like numbers:
// nobody would understand why PORT: 8080 needs quotes.
func checkKind(p *path, n *node, plain bool, want reflect.Type) *wrong {
	free := strings.HasSuffix(p.wildStep(), "[]") || strings.HasSuffix(p.wildStep(), "*")
	switch {
	case n.kind == number && p.pattern() == "routes[].priority":
		return &wrong{"must be high, normal or low: it is where its calls stand in line", "which route goes first is said by precedence"}
	case want.Kind() == reflect.String && n.kind != text && !free:
		return &wrong{fmt.Sprintf("must be a text, not %s", n.kind), fmt.Sprintf("put quotes around it: %q", n.text)}
	case want == reflect.TypeFor[bool]() && (n.kind == number || n.kind == text && !plain):
		hint := ""
		if n.text == "true" || n.text == "false" {
			hint = "take away the quotes"
		}
		return &wrong{fmt.Sprintf("must be true or false, not %s", n.kind), hint}
	case want.Kind() == reflect.Float64 && n.kind == text && !plain:
		return &wrong{fmt.Sprintf("must be a number, not %s", n.kind), "take away the quotes"}
	case want == reflect.TypeFor[int]() && n.kind == text && !plain:
		hint := ""
		if digitsOnly(n.text) {
			hint = "take away the quotes"
		}
		return &wrong{fmt.Sprintf("must be a whole number, not %s", n.kind), hint}
	}
	return nil
}

func (p *path) wildStep() string {
	if p == nil {
		return ""
	}
	return p.wild
}

// wanted is what a message calls a type that setText reads.
func wanted(t reflect.Type) string {
	switch t {
	case reflect.TypeFor[time.Duration]():
		return "a duration"
	case reflect.TypeFor[Size]():
		return "a size"
	case reflect.TypeFor[int]():
		return "a whole number"
	case reflect.TypeFor[float64](), reflect.TypeFor[Degrees]():
		return "a number"
	case reflect.TypeFor[bool]():
		return "true or false"
	}
	return "a text"
}

// checkEnum holds a value against the enum tag of its field.
func (r reader) checkEnum(p *path, enum string, v reflect.Value) {
	if enum == "" || !r.sound(p) || !r.isGiven(p.String()) {
		return
	}
	known, said := strings.Split(enum, ","), v.String()
	if slices.Contains(known, said) {
		return
	}
	r.fail(p, fmt.Sprintf("%s must be %s, not %q", p, either(known), said), didYouMean(said, known))
}

// endpoint reads the short form of an endpoint. The long form's address is
// checked with the rest.
func (r reader) endpoint(p *path, n *node, ep *Endpoint) {
	if n.kind == list {
		r.fail(p, fmt.Sprintf("%s must be an address or a mapping, not a list", p), "")
		return
	}
	if s, _, ok := r.expanded(p, n); ok {
		ep.Address = s
	}
}

// hintAtBraces explains what YAML makes of ${NAME} inside [ ] and { }, in the
// mistakes from the nth on.
func (d *document) hintAtBraces(n int) {
	for _, e := range d.mistakes[n:] {
		runes := []rune(e.Source)
		before := string(runes[:min(e.Column-1, len(runes))])
		if e.Hint == "" && (strings.HasSuffix(before, "$") || strings.Contains(before, "${")) {
			e.Hint = `inside [ ] and { } a ${...} needs quotes: "${...}"`
		}
	}
}
