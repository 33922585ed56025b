package coldstart

import (
	"context"
	"errors"
	"time"

	"github.com/weir-gateway/weir/config"
)

// A Scaler asks a platform for instances. Many routers may hold one at a time,
// so it is told bounds, never differences: asking twice is asking once. It does
// not say when instances are ready: discovery does. Its methods may be called
// from many goroutines.
type Scaler interface {
	// String names the scaler in logs and metrics.
	String() string

	// ScaleUp asks for at least n instances and returns when the platform has
	// taken note. It never lowers. Any router may call it at any time, and while
	// somebody waits for what has not come it is called again every second
	// (Repeated).
	ScaleUp(ctx context.Context, fn config.Function, n int) error

	// ScaleDown asks for at most n and returns when the others are gone. Only
	// the Activator calls it, once no call is on an instance. A ScaleUp that
	// comes later wins.
	ScaleDown(ctx context.Context, fn config.Function, n int) error

	// Replicas tells how many the platform believes in. Asked at start and
	// after an error, never while a caller waits.
	Replicas(ctx context.Context, fn config.Function) (int, error)
}

// A Reporter is a Scaler that learns by itself when a start has come to
// nothing (the process exited, the image is missing), so that nobody has to
// wait for the start's deadline to find out.
type Reporter interface {
	// Failed registers what to call when an instance that was started at a
	// moment ended without being asked to. It is called before any ScaleUp;
	// tell does not block and may be called from any goroutine. The
	// instance has left the reported set before.
	Failed(tell func(function string, started time.Time, err error))
}

// Terminal marks an error of a Scaler's as one that asking again will not mend:
// the image does not exist, the quota is spent, the command cannot be run. The
// function's door closes at once. Any other error may be a matter of time.
func Terminal(err error) error { return terminalError{err} }

// IsTerminal tells whether an error is marked so.
func IsTerminal(err error) bool {
	var t terminalError
	return errors.As(err, &t)
}

type terminalError struct{ error }

func (e terminalError) Unwrap() error { return e.error }
