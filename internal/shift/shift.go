package shift

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/weir-gateway/weir/config/layers"
)

// The states of a Shift.
const (
	Scheduled  = "scheduled"
	Running    = "running"
	Paused     = "paused"
	Done       = "done"
	RolledBack = "rolled back"
	Canceled   = "canceled"  // the weights stay as they are
	Overtaken  = "overtaken" // somebody else has changed them

	goingBack = "going back"
)

const (
	// A Shift has so many steps, if none is shorter than shortest or longer than
	// longestStep.
	steps       = 60
	shortest    = time.Second
	longestStep = time.Minute

	// Errors are judged by no fewer calls than these.
	judged = 20
)

// A Status is what there is to see of a Shift.
type Status struct {
	ID string `json:"id"`
	Order
	State   string             `json:"state"`
	Cause   string             `json:"cause,omitempty"` // of the state, if the Shift has not come to it by itself
	Percent float64            `json:"percent"`         // of the way
	From    map[string]float64 `json:"from"`            // weights at its beginning
	Now     map[string]float64 `json:"now"`             // weights of its last step
}

// A Shift is under way, or was. Its Status is guarded by the Manager's mu, the rest
// is its goroutine's.
type Shift struct {
	Status
	m     *Manager
	knock chan struct{} // somebody has changed the state

	before map[string]json.RawMessage // what was overridden of its weights; null: it was not
	put    map[string]json.RawMessage // what it has put there

	calls, failed int64 // when they were last judged
}

func (s *Status) over() bool {
	return s.State == Done || s.State == RolledBack || s.State == Canceled || s.State == Overtaken
}

func (s *Shift) ring() {
	select {
	case s.knock <- struct{}{}:
	default:
	}
}

// set changes the state; the Manager's mu is held.
func (s *Shift) set(state, cause string) {
	s.State, s.Cause = state, cause
	level := s.m.Log.Info
	if (state == Paused || state == goingBack || state == Overtaken) && cause != "" {
		level = s.m.Log.Warn
	}
	level("shift", s.words("state", state, "percent", s.Percent, "cause", cause)...)
}

func (s *Shift) words(more ...any) []any {
	return append([]any{"shift", s.ID, "function", s.Function, "to", fmt.Sprint(s.To)}, more...)
}

// turn is set for who does not hold the mu. What an operator has said meanwhile
// counts more.
func (s *Shift) turn(from, state, cause string) {
	s.m.mu.Lock()
	defer s.m.mu.Unlock()
	if s.State == from {
		s.set(state, cause)
	}
}

func (s *Shift) state() string {
	s.m.mu.Lock()
	defer s.m.mu.Unlock()
	return s.State
}

// run carries the Shift out.
func (s *Shift) run(ctx context.Context) {
	if !s.wait(ctx, time.Until(s.At)) {
		return
	}
	if err := s.begin(); err != nil {
		s.turn(Scheduled, Canceled, err.Error())
		return
	}
	every := min(max(time.Duration(s.Over)/steps, shortest), longestStep)
	done, last := time.Duration(0), time.Now()
	for s.step(done) {
		if s.MaxErrorPercent == 0 && s.arrived() {
			return
		}
		if !s.wait(ctx, every) {
			return
		}
		if s.fails() { // goes back, or waits for somebody
			continue
		}
		if s.arrived() { // and went well for one more step
			return
		}
		now := time.Now()
		done, last = done+min(now.Sub(last), 2*every), now // a time of rest is none of progress
	}
}

// arrived ends the Shift if its last step is made: not if that was refused, or if it
// has been told to pause or to go back.
func (s *Shift) arrived() bool {
	s.m.mu.Lock()
	defer s.m.mu.Unlock()
	if s.State == Running && s.Percent == 100 {
		s.set(Done, "")
	}
	return s.over()
}

// wait waits for d, or while it is paused for as long as that takes. It tells whether
// the Shift is to go on.
func (s *Shift) wait(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	due := timer.C
	for {
		switch state := s.state(); {
		case state == goingBack:
			s.goBack()
			continue
		case s.isOver():
			return false
		case state == Paused:
			due = nil
		case due == nil: // it was paused, and goes on
			s.calls, s.failed = s.m.Tally(s.Function)
			return true
		}
		select {
		case <-due:
			return true
		case <-s.knock:
		case <-ctx.Done():
			if s.put != nil && !s.isOver() {
				s.m.Log.Warn("shift left where it is: weir ends", s.words("now", fmt.Sprint(s.Now))...)
			}
			return false
		}
	}
}

func (s *Shift) isOver() bool {
	s.m.mu.Lock()
	defer s.m.mu.Unlock()
	return s.over()
}

// begin notes what there is before the first step.
func (s *Shift) begin() error {
	from, err := weightsOf(s.m.Config(), s.Order)
	if err != nil {
		return err
	}
	s.before = map[string]json.RawMessage{}
	for path := range s.values(nil) {
		s.before[path] = nil
	}
	list, _ := s.m.Layers.Overrides()
	for _, o := range list {
		if _, ours := s.before[o.Path]; ours {
			s.before[o.Path] = o.Value
		}
	}
	s.put = s.before
	s.calls, s.failed = s.m.Tally(s.Function)
	s.m.mu.Lock()
	defer s.m.mu.Unlock()
	s.From, s.Now = from, from
	if s.State == Scheduled {
		s.set(Running, "")
	}
	return nil
}

// values are the overrides for weights, at the paths that weir weight and a PUT of a
// region use: whoever says something else later is heard.
func (s *Shift) values(weights map[string]float64) map[string]json.RawMessage {
	if s.Function == "" {
		values := map[string]json.RawMessage{}
		for region := range s.To {
			values["regions/"+region+"/weight"] = number(weights[region])
		}
		return values
	}
	path := "functions/" + s.Function + "/regions"
	regions := map[string]map[string]json.RawMessage{}
	_ = json.Unmarshal(s.before[path], &regions) // what was overridden there stays, but for the weights
	for region := range s.To {
		if regions[region] == nil {
			regions[region] = map[string]json.RawMessage{}
		}
		regions[region]["weight"] = number(weights[region])
	}
	text, _ := json.Marshal(regions) // of words and numbers it always can be
	return map[string]json.RawMessage{path: text}
}

func number(f float64) json.RawMessage {
	return json.RawMessage(strconv.FormatFloat(math.Round(f*1e6)/1e6, 'f', -1, 64))
}

// step puts the weights of after so much of the time, and tells whether the Shift is
// to go on.
func (s *Shift) step(done time.Duration) bool {
	if s.state() != Running {
		return !s.isOver() // wait sees to it
	}
	part := 1.0
	if s.Over > 0 {
		part = min(1, float64(done)/float64(s.Over))
	}
	if part == 0 && s.Over > 0 {
		return true
	}
	weights := map[string]float64{}
	for region, to := range s.To {
		weights[region] = s.From[region] + part*(to-s.From[region])
	}
	err := s.override(s.values(weights), fmt.Sprintf("%.0f %% of shift %s", 100*part, s.ID))
	if errors.Is(err, errOvertaken) {
		s.turn(Running, Overtaken, err.Error())
		return false
	}
	if err != nil {
		s.turn(Running, Paused, err.Error())
		return true
	}
	s.m.mu.Lock()
	s.Now, s.Percent = weights, 100*part
	s.m.mu.Unlock()
	return true
}

var errOvertaken = errors.New("somebody else has changed the weights")

// override puts values at the Shift's paths, if what stands there is what it has put.
func (s *Shift) override(values map[string]json.RawMessage, what string) error {
	wish := layers.Wish{Author: s.Author, Reason: what, Series: "shift " + s.ID}
	if s.Reason != "" {
		wish.Reason += ": " + s.Reason
	}
	for {
		tag := s.m.Layers.Tag()
		list, _ := s.m.Layers.Overrides()
		for path, put := range s.put {
			i := slices.IndexFunc(list, func(o layers.Override) bool { return o.Path == path })
			if i < 0 && put != nil || i >= 0 && string(list[i].Value) != string(put) {
				return errOvertaken
			}
		}
		err := s.m.Layers.PutAll(values, wish, tag)
		var refusal *layers.Refusal
		if errors.As(err, &refusal) && refusal.Kind == layers.Stale {
			continue // something else was changed in between
		}
		if err == nil {
			s.put = values
		}
		return err
	}
}

// fails looks how calls fared since it last looked, and does what is to be done on
// errors. It tells whether too many failed.
func (s *Shift) fails() bool {
	if s.MaxErrorPercent == 0 || s.state() != Running {
		return false
	}
	calls, failed := s.m.Tally(s.Function)
	n, bad := calls-s.calls, failed-s.failed
	if n < judged {
		return false // too few to say, and counted with the next ones
	}
	s.calls, s.failed = calls, failed
	percent := 100 * float64(bad) / float64(n)
	if percent <= s.MaxErrorPercent {
		return false
	}
	state := Paused
	if s.OnErrors == Rollback {
		state = goingBack
	}
	s.turn(Running, state, fmt.Sprintf("%.2f %% of %d calls failed, at most %g %% may", percent, n, s.MaxErrorPercent))
	return true
}

// goBack has what stood before the Shift stand again.
func (s *Shift) goBack() {
	s.m.mu.Lock()
	cause := s.Cause
	s.m.mu.Unlock()
	state := RolledBack
	if s.put != nil {
		if err := s.override(s.before, "back from shift "+s.ID); errors.Is(err, errOvertaken) {
			state, cause = Overtaken, err.Error()
		} else if err != nil {
			s.turn(goingBack, Paused, err.Error())
			return
		}
	}
	s.m.mu.Lock()
	s.Now, s.Percent = s.From, 0
	s.m.mu.Unlock()
	s.turn(goingBack, state, cause)
}
