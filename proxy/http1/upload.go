package http1

import (
	"fmt"
	"io"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/weir-gateway/weir/internal/moment"
	"github.com/weir-gateway/weir/proxy/message"
)

// uploadGrace is how long an answer waits for the end of the upload that it
// seems to have overtaken: the endpoint may answer before the goroutine that
// sent the last byte has said so.
const uploadGrace = 5 * time.Millisecond

// writePatience is how long an endpoint may not read. While its answer is
// awaited, the call's deadline ends the try before.
const writePatience = 30 * time.Second

// An upload sends a request's body beside the response, in a goroutine of its
// own: an endpoint may answer before it has read everything, and may want to
// be read while it is written to.
type upload struct {
	started bool
	done    chan struct{}         // closed at its end
	err     atomic.Pointer[error] // why the client's body could not be had whole
	clean   bool                  // it was sent to its end; read after done
	moved   atomic.Int64          // when the last bytes came, as a moment.Moment
}

func (u *upConn) startUpload() {
	up := &u.upload
	up.started, up.done, up.clean = true, make(chan struct{}), false
	up.moved.Store(int64(moment.Now()))
	gen := u.generation()
	go func() {
		defer close(up.done)
		defer func() {
			if bug := recover(); bug != nil { // it costs this call only
				err := fmt.Errorf("BUG: an upload panicked: %v\n%s", bug, debug.Stack())
				up.fail(err)
				u.Cancel(gen)
			}
		}()
		up.clean = u.uploadAll(gen)
	}()
}

// uploadAll sends the body and tells whether that went well. When the client's
// side fails, the try is canceled: a body that was cut short must not look
// whole to the endpoint. When the endpoint's side fails it may still have
// answered, so that is left to the reader.
func (u *upConn) uploadAll(gen uint64) bool {
	x := u.x
	chunked := x.Request.Framing == message.Chunked
	var size [20]byte
	for {
		if !u.tunnel && !x.Down.Ready() {
			if u.takeBody() != nil {
				return false
			}
		}
		p, err := x.Down.Next()
		if err == io.EOF {
			if u.tunnel {
				return u.endWay()
			}
			if chunked {
				_, err = u.sender.write(appendLast(size[:0], x.Down.Trailers(), x.Trailers))
				return err == nil
			}
			return true
		}
		if err != nil {
			u.upload.fail(err)
			u.Cancel(gen)
			return false
		}
		now := moment.Now()
		u.writeBy(now.Add(writePatience), writePatience/8)
		u.upload.moved.Store(int64(now))
		if chunked {
			_, err = u.sender.write(appendChunkSize(size[:0], len(p)), p, crlf)
		} else {
			_, err = u.sender.write(p)
		}
		if err != nil {
			if u.tunnel {
				u.reset() // or the reader would not hear of it
			}
			return false
		}
	}
}

// over tells whether the upload has ended, and waits for that a little.
func (up *upload) over(grace time.Duration) bool {
	select {
	case <-up.done:
		return true
	default:
	}
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case <-up.done:
		return true
	case <-timer.C:
		return false
	}
}

// fail notes why the client's body could not be had. In a function of its own,
// so that only a failure allocates the pointer.
func (up *upload) fail(err error) { up.err.Store(&err) }

// failure is why the client's body could not be had, if that was so.
func (up *upload) failure() error {
	if err := up.err.Load(); err != nil && *err != errCut {
		return *err
	}
	return nil
}

// wasCut tells whether the body was not sent to its end because nobody wanted it.
func (up *upload) wasCut() bool {
	err := up.err.Load()
	return err != nil && *err == errCut
}

// endUpload waits for the end of the upload, hastening it if the response is
// complete without it, and tells whether the request was sent whole.
func (u *upConn) endUpload() bool {
	up := &u.upload
	if !up.started {
		return true
	}
	if !up.over(0) {
		u.x.Down.CutBody()
		u.reset() // a connection with half a request on it is of no use
		<-up.done
	}
	up.started = false
	return up.clean
}
