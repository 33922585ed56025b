package providertest

import (
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-gateway/weir/config"
	"github.com/weir-gateway/weir/discovery"
)

// A Subject is a kind of provider that is put to the test.
type Subject struct {
	// Open makes a source in which nothing is, and a provider over it. Both
	// are there until the test ends.
	Open func(t testing.TB, log *slog.Logger) Source
	// Bubble tells each story in a bubble of testing/synctest: for a provider
	// whose source is in memory.
	Bubble bool
	// Patience is how long the suite waits for what has to come; 20 s if 0.
	Patience time.Duration
	// Silence is how long it listens for what must not come; 300 ms if 0. It
	// has to be longer than the provider takes to notice something.
	Silence time.Duration
	// Most is how many endpoints of one function the source can have; 2000 if
	// 0.
	Most int
	// Piecewise says that the source cannot change a whole set at once.
	Piecewise bool
}

// A Source is what a provider reads, in the hands of the suite. What is nil
// cannot happen to it.
type Source struct {
	Provider discovery.Provider
	// Function is one that the provider has to look for in the source.
	Function func(name string) config.Function
	// Put makes these the endpoints of a function, at once. They have no ID,
	// different addresses with the same port, and a weight of 0 to 100.
	Put func(function string, endpoints []discovery.Endpoint)
	// Says is what can be known of an endpoint from the source, without its
	// ID; all of it if nil.
	Says func(discovery.Endpoint) discovery.Endpoint
	// PutTwice is Put with the first endpoint there twice.
	PutTwice func(function string, endpoints []discovery.Endpoint)
	// PutBad is Put with one more entry, of which nothing can be made.
	PutBad func(function string, endpoints []discovery.Endpoint)
	// Garble has the source say something that makes no sense about the
	// function, until the next Put.
	Garble func(function string)
	// Away takes the source away until back is called. Put works meanwhile.
	Away func() (back func())
}

// Run runs the suite.
func Run(t *testing.T, s Subject) {
	s.Patience = orElse(s.Patience, 20*time.Second)
	s.Silence = orElse(s.Silence, 300*time.Millisecond)
	s.Most = orElse(s.Most, 2000)
	for _, story := range stories {
		t.Run(strings.ReplaceAll(story.name, " ", "_"), func(t *testing.T) {
			if !s.Bubble {
				story.tell(open(t, s))
				return
			}
			synctest.Test(t, func(t *testing.T) { story.tell(open(t, s)) })
		})
	}
}

func orElse[T comparable](value, otherwise T) T {
	var zero T
	if value == zero {
		return otherwise
	}
	return value
}

var stories = []struct {
	name string
	tell func(*stage)
}{
	{"first report", firstReport},
	{"nothing to say", nothingToSay},
	{"changes", changes},
	{"nothing new", nothingNew},
	{"whole sets", wholeSets},
	{"the last word holds", lastWord},
	{"twice the same", twice},
	{"bad entry", badEntry},
	{"garbage", garbage},
	{"away", away},
	{"away from the start", awayFromTheStart},
	{"a watch that takes over", takeOver},
	{"many watches", manyWatches},
	{"functions are apart", apart},
	{"big set", bigSet},
	{"end", end},
	{"end while away", endWhileAway},
}
