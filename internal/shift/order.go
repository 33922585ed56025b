package shift

import (
	"fmt"
	"math"
	"time"
)

// An Order is what is asked of a Shift.
type Order struct {
	Function string             `json:"function,omitempty"` // whose regions; "" is of all functions that do not say otherwise
	To       map[string]float64 `json:"to"`                 // weights of regions; the others stay as they are
	At       time.Time          `json:"at,omitzero"`        // when it begins; zero is now
	Over     Duration           `json:"over"`               // how long it takes; 0 is at once

	// MaxErrorPercent of the calls since the last step may have failed, with a status
	// of 500 and over; 0 is not looked at.
	MaxErrorPercent float64 `json:"max_error_percent,omitempty"`
	// OnErrors is what happens if more have: pause, which is the default, or rollback.
	OnErrors string `json:"on_errors,omitempty"`

	Author string `json:"author,omitempty"`
	Reason string `json:"reason,omitempty"`
}

// What may happen on errors.
const (
	Pause    = "pause"
	Rollback = "rollback"
)

// Bounds of an Order: what is beyond is a mistake.
const (
	longest  = 31 * 24 * time.Hour
	farthest = 366 * 24 * time.Hour
)

// A Duration is written as in 10m.
type Duration time.Duration

// MarshalText writes it.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// UnmarshalText reads it.
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	if err != nil {
		return fmt.Errorf("%q is no duration; write it as in 90s, 10m or 2h", text)
	}
	*d = Duration(v)
	return nil
}

// check tells what is wrong with an Order, as of now.
func (o *Order) check(now time.Time) error {
	switch {
	case len(o.To) == 0:
		return &Refusal{Invalid, "Say the weights that regions are to have: to."}
	case o.Over < 0 || time.Duration(o.Over) > longest:
		return &Refusal{Invalid, fmt.Sprintf("over must be from 0s to %s.", longest)}
	case o.At.Sub(now) > farthest:
		return &Refusal{Invalid, "at is more than a year away."}
	case !(o.MaxErrorPercent >= 0 && o.MaxErrorPercent <= 100):
		return &Refusal{Invalid, "max_error_percent must be from 0 to 100."}
	case o.OnErrors != "" && o.OnErrors != Pause && o.OnErrors != Rollback:
		return &Refusal{Invalid, fmt.Sprintf("on_errors must be pause or rollback, not %q.", o.OnErrors)}
	case o.OnErrors != "" && o.MaxErrorPercent == 0:
		return &Refusal{Invalid, "on_errors needs max_error_percent."}
	}
	for region, weight := range o.To {
		if math.IsNaN(weight) || math.IsInf(weight, 0) || weight < 0 {
			return &Refusal{Invalid, fmt.Sprintf("The weight of %s must be 0 or more.", region)}
		}
	}
	return nil
}

// Kinds of refusals.
const (
	Invalid  = "invalid"
	NotFound = "not_found"
	Conflict = "conflict"
)

// A Refusal is why something was not done; nothing has changed.
type Refusal struct{ Kind, Detail string }

func (r *Refusal) Error() string { return r.Detail }
