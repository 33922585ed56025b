package table

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/weir-gateway/weir/config"
	"github.com/weir-gateway/weir/proxy/message"
)

// Two calls ask the same if and only if they have the same values of what counts.
func TestSamenessIsThatOfValues(t *testing.T) {
	s := newSameness(&config.Function{
		Deadline: config.Deadline{Header: "X-My-Deadline"},
		Collapse: &config.Collapse{Vary: []string{"Accept", "x-a"}, Ignore: []string{"x-free"}},
	})
	names := []string{"accept", "ACCEPT", "x-a", "X-A", "User-Agent", "sec-ch-ua", "X-Free", "x-my-deadline"}
	type asked struct {
		fields []message.Field
		values [2][]string
	}
	rapid.Check(t, func(t *rapid.T) {
		draw := func() (a asked) {
			for range rapid.IntRange(0, 6).Draw(t, "fields") {
				name, value := rapid.SampledFrom(names).Draw(t, "name"), rapid.SampledFrom([]string{"", "x", "xx", "\x01x", strings.Repeat("y", 300)}).Draw(t, "value")
				dropped := rapid.IntRange(0, 4).Draw(t, "dropped") == 0
				f := message.Field{Name: []byte(name), Value: []byte(value), ID: message.Lookup([]byte(name)), Drop: dropped}
				if early := rapid.Bool().Draw(t, "read before names had numbers"); !early {
					f.Number = message.NumberOf(f.Name)
				}
				a.fields = append(a.fields, f)
				for i, counts := range []string{"accept", "x-a"} {
					if !dropped && strings.EqualFold(name, counts) {
						a.values[i] = append(a.values[i], value)
					}
				}
			}
			return a
		}
		a, b := draw(), draw()
		var one, two Question
		ok1, ok2 := s.Ask(&one, a.fields, nil), s.Ask(&two, b.fields, nil)
		same := fmt.Sprintf("%q", a.values) == fmt.Sprintf("%q", b.values)
		if equal := bytes.Equal(one.appendText(nil), two.appendText(nil)); !ok1 || !ok2 || equal != same {
			t.Fatalf("%q and %q: %v, want %v", a.values, b.values, equal, same)
		}
		if same && one.hash != two.hash {
			t.Fatalf("%q has two hashes", a.values)
		}
		stranger := message.Field{Name: []byte(rapid.SampledFrom([]string{"Cookie", "Content-Type", "X-Forwarded-Of", "x", "sec-", "x-a-", strings.Repeat("x-a", 30)}).Draw(t, "stranger"))}
		stranger.ID = message.Lookup(stranger.Name)
		if s.Ask(&one, append(a.fields, stranger), nil) {
			t.Fatalf("%s makes no difference", stranger.Name)
		}
	})
}
