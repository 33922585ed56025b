package layers

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aymanbagabas/go-udiff"

	"github.com/weir-gateway/weir/config"
)

// kept is how many entries the history has.
const kept = 20

// An Entry is one configuration that stood.
type Entry struct {
	Version   int       `json:"version"` // counts from 1 since weir started
	Time      time.Time `json:"time"`
	Source    string    `json:"source"` // start, file, signal, consul, override, expiry, rollback
	Author    string    `json:"author,omitempty"`
	Reason    string    `json:"reason"`
	Hash      string    `json:"hash"`
	Functions int       `json:"functions"`
	Routes    int       `json:"routes"`
	Refused   int       `json:"refused"` // values of the layers over the file that it does without
	Stands    bool      `json:"stands"`

	of     layers
	series string
}

// enter puts what stands now into the history.
func (s *Stack) enter(e Entry) {
	e.Version = 1
	if n := len(s.history); n > 0 {
		e.Version = s.history[n-1].Version + 1
	}
	if n := len(s.history); n > 1 && e.series != "" && s.history[n-1].series == e.series {
		e.Version--
		s.history = s.history[:n-1]
	}
	e.Time, e.of = time.Now().UTC(), s.now
	e.Hash, e.Refused = s.cfg.Hash, len(s.cfg.Refused)
	e.Functions, e.Routes = len(s.cfg.Functions), len(s.cfg.Routes)
	if len(s.history) == kept {
		s.history = slices.Delete(s.history, 0, 1)
	}
	s.history = append(s.history, e)
}

// History returns the last configurations, the one that stands first.
func (s *Stack) History() []Entry {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := slices.Clone(s.history)
	slices.Reverse(out)
	out[0].Stands = true
	return out
}

// entry finds one by its version: 0 is the one that stands, -1 the one before.
func (s *Stack) entry(version int) (Entry, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.entryLocked(version)
}

func (s *Stack) entryLocked(version int) (Entry, error) {
	if version <= 0 {
		version += s.history[len(s.history)-1].Version
	}
	for _, e := range s.history {
		if e.Version == version {
			return e, nil
		}
	}
	first, last := s.history[0].Version, s.history[len(s.history)-1].Version
	if first == last {
		return Entry{}, &Refusal{NotFound, fmt.Sprintf("There is no configuration %d: only number %d has stood.", version, last), nil}
	}
	return Entry{}, &Refusal{NotFound, fmt.Sprintf("There is no configuration %d: the history goes from %d to %d.", version, first, last), nil}
}

// A Diff is what differs between two configurations.
type Diff struct {
	From Entry `json:"from"`
	To   Entry `json:"to"`
	// Diff of the effective configurations, unified; empty if they say the same.
	Diff string `json:"diff"`
}

// Diff compares two configurations of the history. Secrets in it are hidden, and
// marked so that one that has changed is seen to.
func (s *Stack) Diff(from, to int) (Diff, error) {
	var out Diff
	var err error
	if out.From, err = s.entry(from); err != nil {
		return out, err
	}
	if out.To, err = s.entry(to); err != nil {
		return out, err
	}
	mark := marker()
	before, err := out.From.text(mark)
	if err != nil {
		return out, err
	}
	after, err := out.To.text(mark)
	if err != nil {
		return out, err
	}
	out.Diff = udiff.Unified(out.From.title(), out.To.title(), before, after)
	return out, nil
}

func (e Entry) title() string {
	return fmt.Sprintf("%d\t%s %s %s", e.Version, e.Time.Format(time.RFC3339), e.Source, e.Hash)
}

// text is the whole configuration as a person reads it. It is built anew: twenty
// of ten thousand routes would be a hundred megabytes.
func (e Entry) text(mark func(string) string) (string, error) {
	cfg, err := e.of.build()
	if err != nil {
		return "", &Refusal{Unusable, fmt.Sprintf("Configuration %d cannot be built any more: %s", e.Version, err), nil}
	}
	return string(config.Shown{Config: cfg, Mark: mark}.YAML()), nil
}

// marker makes what stands for secrets in one comparison: the same for the same
// one, and nothing that could be looked up elsewhere.
func marker() func(string) string {
	key := make([]byte, 32)
	_, _ = rand.Read(key) // never fails
	return func(secret string) string {
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(secret))
		return "(hidden " + hex.EncodeToString(mac.Sum(nil))[:4] + ")"
	}
}

// Rollback has a configuration of the history stand again, as a new entry: 0 is
// the one that stands, -1 the one before. Each layer stays as it was then until
// it says something new. Overrides that have expired since do not come back.
func (s *Stack) Rollback(version int, author, reason string) (Entry, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e, err := s.entryLocked(version)
	if err != nil {
		return e, err
	}
	next := e.of
	next.overrides = slices.DeleteFunc(slices.Clone(next.overrides), func(o Override) bool { return o.expired(time.Now()) })
	cfg, err := next.build()
	if err != nil {
		return e, &Refusal{Unusable, fmt.Sprintf("Configuration %d cannot be had any more: %s", e.Version, err), nil}
	}
	what := fmt.Sprintf("back to %d", e.Version)
	if reason != "" {
		what += ": " + reason
	}
	if err := s.keepAndStand(next, cfg, Entry{Source: "rollback", Author: author, Reason: what}); err != nil {
		return e, err
	}
	s.Log.Warn("configuration rolled back; it stands until the file or a key of Consul changes, or weir restarts",
		"to", e.Version, "author", author, "reason", reason)
	s.ring()
	return s.history[len(s.history)-1], nil
}

func joined(words []string) string { return strings.Join(words, ", ") }
