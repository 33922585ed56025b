package proxy

import (
	"regexp"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/weir-gateway/weir/config"
	"github.com/weir-gateway/weir/proxy/message"
	"github.com/weir-gateway/weir/proxy/table"
)

func TestPatterns(t *testing.T) {
	f := func(pattern, value string, want bool) {
		t.Helper()
		if got := meetsPattern([]byte(value), pattern); got != want {
			t.Errorf("%q meets %q: %v", value, pattern, got)
		}
	}
	f("uptimerobot/*", "UptimeRobot/2.0", true)
	f("uptimerobot/*", "Mozilla/5.0 UptimeRobot/2.0", false)
	f("*pingdom*", "Mozilla/5.0 (compatible; Pingdom.com_bot)", true)
	f("*", "", true)
	f("", "", true)
	f("", "x", false)
	f("a*b*c", "a-b-b-c", true)
	f("a*b*c", "a-b-b-d", false)
}

// It is what the same words mean as a regular expression.
func TestPatternsAgainstRegexp(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := func(name, from string) string {
			return rapid.StringOfN(rapid.RuneFrom([]rune(from)), 0, 12, -1).Draw(t, name)
		}
		pattern, value := text("pattern", "ab*"), text("value", "aBb")
		want := regexp.MustCompile("(?i)^" + strings.ReplaceAll(pattern, "*", ".*") + "$").MatchString(value)
		if got := meetsPattern([]byte(value), pattern); got != want {
			t.Fatalf("%q meets %q: %v, want %v", value, pattern, got, want)
		}
	})
}

func TestWakeRules(t *testing.T) {
	c := &Call{to: &table.Route{}}
	c.Request.Method, c.Request.Path = []byte("GET"), []byte("/health/deep")
	c.Request.Fields = []message.Field{
		{Name: []byte("user-agent"), Value: []byte("Blackbox/1"), ID: message.UserAgent},
		{Name: []byte("X-Monitor"), Value: []byte("eu")},
		{Name: []byte("x-monitor"), Value: []byte("us")},
	}
	f := func(rule config.WakeRule, want bool) {
		t.Helper()
		if got := c.meets(&rule); got != want {
			t.Errorf("meets %+v: %v", rule, got)
		}
	}
	f(config.WakeRule{Methods: []string{"HEAD", "GET"}}, true)
	f(config.WakeRule{Methods: []string{"HEAD"}}, false)
	f(config.WakeRule{PathPrefix: "/health"}, true)
	f(config.WakeRule{PathPrefix: "/health/deep"}, true)
	f(config.WakeRule{PathPrefix: "/health/"}, true)
	f(config.WakeRule{PathPrefix: "/heal"}, false)
	f(config.WakeRule{PathPrefix: "/"}, true)
	f(config.WakeRule{UserAgents: []string{"curl/*", "blackbox/*"}}, true)
	f(config.WakeRule{UserAgents: []string{""}}, false)
	f(config.WakeRule{Headers: map[string]string{"x-Monitor": "us"}}, true)
	f(config.WakeRule{Headers: map[string]string{"x-monitor": "u"}}, false)
	f(config.WakeRule{Headers: map[string]string{"x-monitor": "*", "x-other": "*"}}, false)
	f(config.WakeRule{Methods: []string{"GET"}, PathPrefix: "/other"}, false) // all that is given
	if n := testing.AllocsPerRun(100, func() { c.meets(&config.WakeRule{Headers: map[string]string{"x-monitor": "us"}}) }); n > 0 {
		t.Errorf("a look at a rule allocates %.0f times", n)
	}
}
