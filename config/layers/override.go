package layers

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/weir-gateway/weir/config"
)

// An Override is a value that an operator has put over the file and over
// Consul's keys.
type Override struct {
	// Path of keys, with slashes: functions/checkout/timeouts/request.
	Path string `json:"path"`
	// Value as JSON.
	Value json.RawMessage `json:"value"`
	// Author and Reason are for whoever finds it at night.
	Author string `json:"author"`
	Reason string `json:"reason"`
	// Since is when it was put there, Until when it ends by itself; nil is never.
	Since time.Time  `json:"since"`
	Until *time.Time `json:"until"`
}

func (o Override) expired(now time.Time) bool { return o.Until != nil && !now.Before(*o.Until) }

func (o Override) name() string { return "override " + strings.ReplaceAll(o.Path, "/", ".") }

func (o Override) fragment() config.Fragment {
	return config.Fragment{Layer: config.OverrideLayer, Name: o.name(), Path: strings.Split(o.Path, "/"), Text: string(o.Value)}
}

// A Wish is what is asked of an override.
type Wish struct {
	Value  json.RawMessage
	TTL    time.Duration // 0: until it is taken back
	Author string
	Reason string
	// Series is common to changes of which the history keeps only the last, if they
	// come one after the other. May be empty.
	Series string
}

// Kinds of refusals.
const (
	NotFound = "not_found"
	Invalid  = "invalid"      // it is no configuration with it
	Stale    = "stale"        // somebody else was faster
	Unusable = "unusable"     // a configuration of the history cannot be built any more
	Full     = "too_many"     // there are as many overrides as may be
	NotKept  = "not_writable" // they cannot be kept
)

// A Refusal is why a change was not made; nothing has changed.
type Refusal struct {
	Kind     string
	Detail   string
	Mistakes config.Errors // each with its place, of Invalid
}

func (r *Refusal) Error() string { return r.Detail }

var errStale = &Refusal{Stale, "The configuration has changed since; look again.", nil}

// maxOverrides is more than anybody oversees; who needs more writes a file.
const maxOverrides = 1000

// longest author and reason.
const maxWords = 500

// Overrides returns them in the order of their paths, and their tag: what a
// change may be bound to.
func (s *Stack) Overrides() (list []Override, tag string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	list = slices.Clone(s.now.overrides)
	for i := range list {
		list[i].Value = config.HideSecrets(list[i].Path, list[i].Value)
	}
	return list, tagOf(s.now.overrides)
}

// Tag is the same for the same configuration with the same overrides only, in this
// run and the next: what a change of regions may be bound to.
func (s *Stack) Tag() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.tagLocked()
}

func (s *Stack) tagLocked() string {
	sum := sha256.Sum256([]byte(tagOf(s.now.overrides) + s.cfg.Hash))
	return hex.EncodeToString(sum[:8])
}

// tagOf is the same for the same overrides only, in this run and the next.
func tagOf(list []Override) string {
	text, err := json.Marshal(list)
	if err != nil {
		panic("BUG: overrides that are not JSON: " + err.Error())
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:8])
}

// validPath is of keys of ours, names that operators choose and slashes.
var validPath = regexp.MustCompile(`^[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*$`)

// newOverride is what a wish comes to.
func newOverride(path string, value json.RawMessage, w Wish) (Override, error) {
	o := Override{Path: path, Value: value, Author: w.Author, Reason: w.Reason, Since: time.Now().UTC().Truncate(time.Millisecond)}
	if w.TTL > 0 {
		until := o.Since.Add(w.TTL)
		o.Until = &until
	}
	switch {
	case !validPath.MatchString(path):
		return o, &Refusal{Invalid, fmt.Sprintf("%q is not the path to a value; say it as in functions/checkout/timeouts/request.", path), nil}
	case len(value) == 0 || !json.Valid(value):
		return o, &Refusal{Invalid, "There is no value.", nil}
	case w.TTL < 0:
		return o, &Refusal{Invalid, "A time to live cannot be negative.", nil}
	case len(w.Author) > maxWords || len(w.Reason) > maxWords:
		return o, &Refusal{Invalid, fmt.Sprintf("Author and reason may have %d bytes each.", maxWords), nil}
	}
	return o, nil
}

// Put has a value stand over the others. With a tag, only if the overrides are
// those of the tag still.
func (s *Stack) Put(path string, w Wish, tag string) (Override, error) {
	o, err := newOverride(path, w.Value, w)
	if err != nil {
		return o, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if tag != "" && tag != tagOf(s.now.overrides) {
		return o, errStale
	}
	return o, s.change(map[string]*Override{path: &o}, w)
}

// PutAll has the values of some paths stand over the others, all of them or none; a
// path without a value is no longer overridden. With a tag, only if the
// configuration is that of Tag still. The wish's own value is of no account.
func (s *Stack) PutAll(values map[string]json.RawMessage, w Wish, tag string) error {
	overrides := map[string]*Override{}
	for path, value := range values {
		overrides[path] = nil
		if value == nil {
			continue
		}
		o, err := newOverride(path, value, w)
		if err != nil {
			return err
		}
		overrides[path] = &o
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if tag != "" && tag != s.tagLocked() {
		return errStale
	}
	return s.change(overrides, w)
}

// change puts overrides at paths, and takes away those that are nil.
func (s *Stack) change(overrides map[string]*Override, w Wish) error {
	next, e := s.now, Entry{Source: "override", Author: w.Author, series: w.Series}
	next.overrides = slices.DeleteFunc(slices.Clone(next.overrides), func(have Override) bool { _, other := overrides[have.Path]; return other })
	before := len(s.now.overrides) - len(next.overrides)
	var mine, words []string
	for _, path := range slices.Sorted(maps.Keys(overrides)) {
		if o := overrides[path]; o != nil {
			mine, words = append(mine, o.name()), append(words, path+" is overridden")
			next.overrides = append(next.overrides, *o)
		} else {
			words = append(words, path+" is no longer overridden")
		}
	}
	switch {
	case len(mine) == 0 && before == 0:
		return nil
	case len(next.overrides) > maxOverrides:
		return &Refusal{Full, fmt.Sprintf("There are %d overrides; take some back, or say it in the file.", maxOverrides), nil}
	}
	slices.SortFunc(next.overrides, func(a, b Override) int { return strings.Compare(a.Path, b.Path) })
	e.Reason = worded(joined(words), w.Reason)
	return s.override(next, mine, e)
}

// Delete takes an override back.
func (s *Stack) Delete(path, author, reason, tag string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case !slices.ContainsFunc(s.now.overrides, func(have Override) bool { return have.Path == path }):
		return &Refusal{NotFound, fmt.Sprintf("Nothing overrides %q.", path), nil}
	case tag != "" && tag != tagOf(s.now.overrides):
		return errStale
	}
	return s.change(map[string]*Override{path: nil}, Wish{Author: author, Reason: reason})
}

// Without is the configuration that would stand if nothing overrode a path.
func (s *Stack) Without(path string) (*config.Config, error) {
	s.mu.Lock()
	next := s.now
	s.mu.Unlock()
	next.overrides = slices.DeleteFunc(slices.Clone(next.overrides), func(have Override) bool { return have.Path == path })
	return next.build()
}

func worded(what, reason string) string {
	if reason == "" {
		return what
	}
	return what + ": " + reason
}

// override makes a change of the overrides, if all that stood before still can.
// mine are the names of what is changed.
func (s *Stack) override(next layers, mine []string, e Entry) error {
	cfg, err := next.build()
	if err != nil {
		return &Refusal{Unusable, err.Error(), nil}
	}
	for _, r := range cfg.Refused {
		switch {
		case slices.Contains(mine, r.What):
			return &Refusal{Invalid, r.Reason, r.Mistakes}
		case !slices.ContainsFunc(s.cfg.Refused, func(was config.Refused) bool { return was.What == r.What }):
			return &Refusal{Invalid, fmt.Sprintf("With this change %s could not stand: %s", r.What, r.Reason), r.Mistakes}
		}
	}
	before, had := s.cfg, s.now.overrides
	if err := s.keepAndStand(next, cfg, e); err != nil {
		return err
	}
	s.Log.Info("configuration overridden", "what", e.Reason, "author", e.Author)
	if expires(had) || expires(next.overrides) || !slices.Equal(before.Files, s.cfg.Files) || !slices.Equal(before.Patterns, s.cfg.Patterns) {
		s.ring() // else Run has nothing to look at: to wake it would take processor time from calls
	}
	return nil
}

// expires tells whether one of the overrides will be taken back.
func expires(list []Override) bool {
	return slices.ContainsFunc(list, func(o Override) bool { return o.Until != nil })
}

// expire takes back the overrides whose time has passed, and returns when the
// next one's will have; zero if none's will.
func (s *Stack) expire(now time.Time) (next time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var gone []string
	layers := s.now
	layers.overrides = slices.DeleteFunc(slices.Clone(layers.overrides), func(o Override) bool {
		switch {
		case o.expired(now):
			gone = append(gone, o.Path)
			return true
		case o.Until != nil && (next.IsZero() || o.Until.Before(next)):
			next = *o.Until
		}
		return false
	})
	if len(gone) == 0 {
		return next
	}
	cfg, err := layers.build()
	if err != nil {
		s.Log.Error("an override whose time has passed cannot be taken back", "paths", gone, "error", err.Error())
		return time.Time{}
	}
	if err := s.save(layers.overrides); err != nil {
		s.Log.Error("an expired override is kept on the disk", "error", err.Error()) // where it is found to be expired
	}
	s.Log.Info("overrides have expired", "paths", gone)
	if err := s.stand(layers, cfg, Entry{Source: "expiry", Reason: joined(gone) + ": the time to live has passed"}); err != nil {
		s.Log.Error("an override whose time has passed cannot be taken back", "paths", gone, "error", err.Error())
	}
	return next
}
