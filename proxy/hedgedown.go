package proxy

import (
	"os"
	"time"

	"github.com/weir-gateway/weir/proxy/message"
)

// hedgeDown is the client's side of a second try, which has none: no body, nobody to
// watch, and what comes before the answer is the first try's to pass on.
type hedgeDown struct {
	message.Downstream // nil: whatever else is asked of it is a bug

	woken chan struct{} // capacity one
	gone  chan struct{} // closed when nobody wants the answer
}

func (d *hedgeDown) init() { d.woken, d.gone = make(chan struct{}, 1), make(chan struct{}) }

// leave ends every Wait. It is called once.
func (d *hedgeDown) leave() { close(d.gone) }

// Wait waits for a connection to come free.
func (d *hedgeDown) Wait(until time.Time) error {
	timer := time.NewTimer(time.Until(until))
	defer timer.Stop()
	select {
	case <-d.gone:
		return message.ErrClientGone
	case <-d.woken:
		return nil
	case <-timer.C:
		return os.ErrDeadlineExceeded
	}
}

// Wake ends Wait.
func (d *hedgeDown) Wake() {
	select {
	case d.woken <- struct{}{}:
	default: // it is awake
	}
}

func (d *hedgeDown) Ready() bool                     { return false }
func (d *hedgeDown) CutBody()                        {}
func (d *hedgeDown) Interim(*message.Response) error { return nil }
func (d *hedgeDown) Watch(message.Canceler, uint64)  {}
func (d *hedgeDown) Unwatch() (gone bool)            { return false }
