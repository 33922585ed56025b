package consul

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/hashicorp/consul/api"

	"github.com/weir-gateway/weir/config"
	"github.com/weir-gateway/weir/discovery"
)

// WatchKeys reports what the keys below config_prefix say, all of them, at first
// and whenever one has changed, until ctx ends. It reports nothing as long as
// Consul does not answer: what was reported last stands. That nothing is there
// any more is believed after empty_after, because so does an agent that was
// restarted without its data. If memory is not nil, what was said before weir was
// started stands from the beginning: it is reported when Consul keeps silent.
func (r *Registry) WatchKeys(ctx context.Context, memory *discovery.Memory, report func([]config.Fragment)) {
	w := keyWatch{Registry: r, prefix: strings.Trim(r.cfg.ConfigPrefix, "/") + "/"}
	note := discovery.NewNote(memory, "consul", url.QueryEscape(w.prefix)+".keys", report)
	defer note.End()
	kept, _ := note.Kept()
	w.report, w.had = note.Say, len(kept) > 0
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		timer.Reset(w.ask(ctx))
	}
}

// A keyWatch asks for the keys below a prefix, again and again.
type keyWatch struct {
	*Registry
	prefix string
	report func([]config.Fragment)

	index    uint64    // to wait for a change of; 0: be told at once
	failures int       // in a row
	had      bool      // some were reported
	denied   bool      // and it was said that there are none
	nobody   time.Time // since when there are none; zero if there are
}

// ask is one query and what follows from it. It returns how long to rest.
func (w *keyWatch) ask(ctx context.Context) (rest time.Duration) {
	pairs, meta, err := w.fetch(ctx)
	switch {
	case ctx.Err() != nil:
		return 0
	case err != nil:
		if w.failures++; w.failures == 1 {
			w.log.Warn("consul's keys cannot be read; what they said last stands", "prefix", w.prefix, "error", err.Error())
		}
		if reasonOf(err) == "denied" && !w.had && !w.denied {
			w.denied = true // nobody has to wait for a token that has no business here
			w.report(nil)
		}
		w.index, w.nobody = 0, time.Time{} // who comes back knowing nothing is doubted anew
		return backoff(w.failures)
	}
	if w.failures > 0 {
		w.log.Info("consul's keys can be read again", "prefix", w.prefix)
	}
	w.failures = 0
	if meta.LastIndex < w.index {
		w.index = 0 // what it counts is another's history
	} else {
		w.index = meta.LastIndex
	}
	fragments := fragmentsOf(w.prefix, pairs)
	if len(fragments) == 0 && w.had {
		now := time.Now()
		if w.nobody.IsZero() {
			w.nobody = now
			w.log.Warn("consul has none of the keys any more; what they said stands for now", "prefix", w.prefix, "for_ms", w.cfg.EmptyAfter.Milliseconds())
		}
		if left := w.cfg.EmptyAfter - now.Sub(w.nobody); left > 0 {
			w.index = 0
			return min(left, confirmAfter)
		}
	}
	w.nobody, w.had = time.Time{}, len(fragments) > 0
	w.report(fragments)
	return jittered(spacing)
}

func (w *keyWatch) fetch(ctx context.Context) (api.KVPairs, *api.QueryMeta, error) {
	token, err := w.token()
	if err != nil {
		return nil, nil, err
	}
	wait := waitMost
	if w.index == 0 {
		wait = 0
	}
	ctx, cancel := context.WithTimeout(ctx, wait*17/16+answerWithin) // the agent adds up to a sixteenth
	defer cancel()
	options := &api.QueryOptions{Token: token}
	if wait > 0 {
		options.WaitIndex, options.WaitTime = w.index, wait
	}
	pairs, meta, err := w.client.KV().List(w.prefix, options.WithContext(ctx))
	switch {
	case err != nil:
		return nil, nil, fmt.Errorf("cannot ask for the keys below %q: %w", w.prefix, err)
	case meta.LastIndex == 0:
		return nil, nil, errNoIndex
	case len(pairs) == 0 && meta.ResultsFilteredByACLs:
		return nil, nil, w.deniedHere()
	case len(pairs) == 0 && w.index == 0: // at first, and while it is doubted
		if err = w.mayRead(ctx, token, "", readable("key", w.prefix)); errors.Is(err, errDenied) {
			return nil, nil, w.deniedHere()
		}
	}
	return pairs, meta, err
}

func (w *keyWatch) deniedHere() error {
	return fmt.Errorf(`%w the keys below %q; give it key:read there, or say config_prefix: ""`, errDenied, w.prefix)
}

// fragmentsOf are the keys as pieces of the configuration, in the order of their
// names. What ends with a slash and says nothing is a folder.
func fragmentsOf(prefix string, pairs api.KVPairs) (out []config.Fragment) {
	for _, p := range pairs {
		rest, ok := strings.CutPrefix(p.Key, prefix)
		if !ok || rest == "" || strings.HasSuffix(rest, "/") && len(p.Value) == 0 {
			continue
		}
		out = append(out, config.Fragment{Layer: "consul", Name: "consul:" + p.Key, Path: strings.Split(rest, "/"), Text: string(p.Value)})
	}
	return out
}
