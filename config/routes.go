package config

import (
	"cmp"
	"fmt"
	"regexp"
	"regexp/syntax"
	"strings"
)

// A Condition is what a header field, a query parameter or a cookie of a call
// has to be. It says exactly one of exact, prefix, regex and present. Where the
// name occurs more than once, one that fits is enough.
type Condition struct {
	// Name of the field, in any case, of the parameter, or of the cookie.
	Name string `yaml:"name"`
	// Exact is the whole value.
	Exact *string `yaml:"exact"`
	// Prefix is what the value begins with.
	Prefix string `yaml:"prefix"`
	// Regex is a regular expression (RE2) that the whole value matches.
	Regex string `yaml:"regex"`
	// Present: true asks for any value, false for none.
	Present *bool `yaml:"present"`
}

// String is the condition as a message says it: x-canary is "1".
func (c Condition) String() string {
	switch {
	case c.Exact != nil:
		return fmt.Sprintf("%s is %q", c.Name, *c.Exact)
	case c.Prefix != "":
		return fmt.Sprintf("%s begins with %q", c.Name, c.Prefix)
	case c.Regex != "":
		return fmt.Sprintf("%s matches %q", c.Name, c.Regex)
	case c.Present != nil && !*c.Present:
		return c.Name + " is absent"
	}
	return c.Name + " is present"
}

// Conditions are all of a route's, as people read them.
func (r *Route) Conditions() (texts []string) {
	for _, list := range []struct {
		of         string
		conditions []Condition
	}{{"header", r.Headers}, {"query parameter", r.Query}, {"cookie", r.Cookies}} {
		for _, c := range list.conditions {
			texts = append(texts, list.of+" "+c.String())
		}
	}
	return texts
}

// A PathKind is a way of saying which paths a route is for.
type PathKind uint8

// The kinds, the more specific first.
const (
	ExactPath PathKind = iota
	TemplatePath
	RegexPath
	PrefixPath
)

// String is the key of the kind.
func (k PathKind) String() string {
	return [...]string{"path", "path_template", "path_regex", "path_prefix"}[k]
}

// PathRule is which paths the route is for.
func (r *Route) PathRule() (kind PathKind, pattern string) {
	switch {
	case r.Path != "":
		return ExactPath, r.Path
	case r.PathTemplate != "":
		return TemplatePath, r.PathTemplate
	case r.PathRegex != "":
		return RegexPath, r.PathRegex
	}
	return PrefixPath, cmp.Or(r.PathPrefix, "/")
}

// What a regular expression may cost: a call walks through no more than this
// many instructions for each byte of its path, which limits.target_bytes bounds.
// 200 are more than hand-written rules need: [0-9]{1,50} has 100.
const (
	maxPattern      = 512 // bytes
	maxInstructions = 200
)

// maxRegexes is how many routes of one host may have a path_regex: a call may
// have to look at each of them.
const maxRegexes = 32

// MaxSegments is how many segments a path_prefix or a path_template may have.
const MaxSegments = 32

// MaxTemplate is how long a path_template may be, in bytes.
const MaxTemplate = 256

// CompilePattern makes a regular expression that matches whole texts only.
func CompilePattern(pattern string) (*regexp.Regexp, error) {
	if bad := patternMistake(pattern); bad != nil {
		return nil, bad
	}
	return regexp.Compile(`\A(?:` + pattern + `)\z`)
}

func patternMistake(pattern string) *wrong {
	if len(pattern) > maxPattern {
		return &wrong{fmt.Sprintf("is longer than %d bytes", maxPattern), "a list of paths is several routes"}
	}
	// By itself first: a lone ) would otherwise end the group it is put in.
	tree, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		return readSyntaxError(err)
	}
	program, err := syntax.Compile(tree.Simplify())
	if err != nil {
		return &wrong{fmt.Sprintf("is not a regular expression: %v", err), ""}
	}
	if n := len(program.Inst); n > maxInstructions {
		return &wrong{fmt.Sprintf("is too large: %d instructions, and %d at most", n, maxInstructions), "count fewer repetitions, or use path_prefix or path_template"}
	}
	return nil
}

// readSyntaxError says what regexp says, with what people mistake RE2 for.
func readSyntaxError(err error) *wrong {
	bad, ok := err.(*syntax.Error)
	if !ok {
		return &wrong{fmt.Sprintf("is not a regular expression: %v", err), ""}
	}
	hint := ""
	switch {
	case strings.HasPrefix(bad.Expr, "(?=") || strings.HasPrefix(bad.Expr, "(?!") || strings.HasPrefix(bad.Expr, "(?<"):
		hint = "RE2 looks neither ahead nor back: say what may be there, or use a route with a higher precedence"
	case bad.Code == syntax.ErrInvalidEscape:
		hint = "in double quotes YAML takes the backslashes: use single ones"
	}
	return &wrong{fmt.Sprintf("is not a regular expression: %s: %q", bad.Code, bad.Expr), hint}
}

// TemplateSegments are the segments of a template. Those that stand for
// whatever is there are variables, without their braces.
func TemplateSegments(template string) (segments []string, variable []bool) {
	for s := range strings.SplitSeq(strings.TrimPrefix(template, "/"), "/") {
		name, is := templateVariable(s)
		if is {
			s = name
		}
		segments, variable = append(segments, s), append(variable, is)
	}
	return segments, variable
}

func templateVariable(segment string) (name string, is bool) {
	if len(segment) < 2 || segment[0] != '{' || segment[len(segment)-1] != '}' {
		return "", false
	}
	return segment[1 : len(segment)-1], true
}

// TemplateVariables are the names in a template.
func TemplateVariables(template string) (names []string) {
	segments, variable := TemplateSegments(template)
	for i, name := range segments {
		if variable[i] {
			names = append(names, name)
		}
	}
	return names
}
