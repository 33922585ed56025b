package proxy

import (
	"errors"
	"os"

	"github.com/weir-gateway/weir/proxy/message"
)

// A Result is how one try ended.
type Result uint8

// The results of a try. What becomes of the answer's body after Answered is
// the call's affair.
const (
	Answered      Result = iota // the head of an answer came
	ConnectFailed               // no connection stood, or TLS did not
	Reset                       // the connection ended before an answer
	Malformed                   // what came is not an answer
	TimedOut                    // the deadline of the call passed
	Canceled                    // the client left, or its body could not be read
	Busy                        // no connection came free in time
	NumResults                  // how many there are
)

// String names the result as a metric's label.
func (r Result) String() string {
	return [...]string{"ok", "connect_failed", "reset", "malformed", "timeout", "canceled", "busy"}[r]
}

// ResultOf tells how a try ended that came to err.
func ResultOf(err error) Result {
	switch {
	case err == nil:
		return Answered
	case errors.Is(err, message.ErrConnect), errors.Is(err, message.ErrConnectTimeout),
		errors.Is(err, message.ErrTLS), errors.Is(err, message.ErrCertificate), errors.Is(err, message.ErrTLSEnded):
		return ConnectFailed
	case errors.Is(err, message.ErrBusy):
		return Busy
	case errors.Is(err, message.ErrReset):
		return Reset
	case errors.Is(err, message.ErrProtocol):
		return Malformed
	case errors.Is(err, os.ErrDeadlineExceeded):
		return TimedOut
	}
	return Canceled
}
