package config

import (
	"fmt"
	"slices"
	"strings"
)

// didYouMean is the hint for a word that is not among the known ones; empty if
// none is close.
func didYouMean(word string, known []string) string {
	if near := closest(word, known); near != "" {
		return fmt.Sprintf("did you mean %q?", near)
	}
	return ""
}

// closest returns the known word that word was probably meant to be, or "".
func closest(word string, known []string) string {
	best, least := "", len([]rune(word))/3+1
	if least > 3 {
		least = 3 // more than two slips are another word
	}
	for _, k := range known {
		if plain(k) == plain(word) {
			return k // maxWait, max-wait
		}
		if d := distance(word, k); d < least {
			best, least = k, d
		}
	}
	return best
}

func plain(word string) string {
	return strings.ToLower(strings.NewReplacer("_", "", "-", "").Replace(word))
}

// distance counts the slips between two words: a letter too many, too few,
// another, or two exchanged (optimal string alignment).
func distance(a, b string) int {
	x, y := []rune(a), []rune(b)
	if len(x) > 64 || len(y) > 64 {
		return 64 // not a slip, and not worth the square
	}
	var before []int
	last := make([]int, len(y)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(x); i++ {
		row := make([]int, len(y)+1)
		row[0] = i
		for j := 1; j <= len(y); j++ {
			other := last[j-1]
			if x[i-1] != y[j-1] {
				other++
			}
			row[j] = min(row[j-1]+1, last[j]+1, other)
			if i > 1 && j > 1 && x[i-1] == y[j-2] && x[i-2] == y[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last = last, row
	}
	return last[len(y)]
}

// either names the possible values: "a", "b" or "c".
func either(words []string) string {
	quoted := make([]string, len(words))
	for i, w := range words {
		quoted[i] = fmt.Sprintf("%q", w)
	}
	if len(quoted) < 2 {
		return strings.Join(quoted, "")
	}
	last := len(quoted) - 1
	return strings.Join(quoted[:last], ", ") + " or " + quoted[last]
}

// thereIs is the hint that names what can be referred to, if that is not much.
func thereIs(names []string) string {
	switch {
	case len(names) == 0:
		return "there is none"
	case len(names) > 8:
		return ""
	}
	return "there is " + strings.Replace(either(names), " or ", " and ", 1)
}

// sortedKeys of a map, so that messages and their order do not change.
func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
