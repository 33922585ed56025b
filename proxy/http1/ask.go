package http1

import (
	"os"
	"syscall"
)

// A request that is whole in one buffer goes out inside the wait for its answer:
// the poller has been told to look for bytes before, so the one attempt to read
// that would come too soon is spared. Were the endpoint to close only its side in
// that very moment, nobody would see it until patience ends, which makes a new
// attempt.

// setAsk has p sent before the next attempt to read. It lies in room, which is
// given back when it is sent.
func (w *wire) setAsk(p, room []byte) { w.ask, w.askRoom = p, room }

// sayAsk sends what was set, and tells whether to go on with reading.
func (w *wire) sayAsk(fd uintptr) bool {
	n, err := send(fd, w.ask)
	switch {
	case err == syscall.EAGAIN:
		return false
	case err != 0:
		w.n, w.readErr = 0, os.NewSyscallError("send", err)
		return false
	case n < len(w.ask):
		w.ask = w.ask[n:]
		return false
	}
	w.dropAsk()
	return true
}

// sendAsk sends the rest, for which the socket had no room.
func (w *wire) sendAsk() error {
	n, err := w.sender.write(w.ask)
	w.ask = w.ask[n:]
	if err == nil {
		w.dropAsk()
	}
	return err
}

func (w *wire) dropAsk() {
	putBuffer(w.askRoom)
	w.ask, w.askRoom = nil, nil
}
