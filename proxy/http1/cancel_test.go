package http1

import (
	"bytes"
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weir-gateway/weir/config"
	"github.com/weir-gateway/weir/internal/moment"
	"github.com/weir-gateway/weir/proxy/message"
	"github.com/weir-gateway/weir/proxy/table"
)

var stressFor = flag.Duration("stress", 400*time.Millisecond, "how long cancels and calls race")

// A caller is a client without a connection, which sends a body of ten bytes.
type caller struct {
	message.Downstream
	woken chan struct{}
	body  []byte
	sent  bool
}

func (c *caller) Wait(until time.Time) error {
	timer := time.NewTimer(time.Until(until))
	defer timer.Stop()
	select {
	case <-c.woken:
		return nil
	case <-timer.C:
		return os.ErrDeadlineExceeded
	}
}

func (c *caller) Wake() {
	select {
	case c.woken <- struct{}{}:
	default:
	}
}

func (c *caller) Ready() bool { return true }

func (c *caller) Next() ([]byte, error) {
	if c.sent {
		return nil, io.EOF
	}
	c.sent = true
	return c.body, nil
}

func (c *caller) Watch(message.Canceler, uint64) {}
func (c *caller) Unwatch() bool                  { return false }
func (c *caller) CutBody()                       {}

// Cancels of every age and deadlines of every length race with calls that end.
// Each call has its own answer, or is told that it was canceled or took too long:
// nothing else ever happens to it, for a cancel that comes late hits nobody.
func TestCancelsAgainstCompletion(t *testing.T) {
	f := func(secure, onlyOld bool) {
		t.Run(fmt.Sprintf("tls=%v old=%v", secure, onlyOld), func(t *testing.T) {
			ln, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer ln.Close()
			settings := &table.Settings{
				Timeouts: config.Timeouts{Connect: 5 * time.Second, Idle: time.Minute},
				Upstream: config.Upstream{MaxConnections: 6, MaxDials: 2}, Account: new(table.Account),
			}
			if secure {
				ln = tls.NewListener(ln, &tls.Config{Certificates: []tls.Certificate{someCertificate(t)}})
				settings.TLS, settings.Host = &config.UpstreamTLS{InsecureSkipVerify: true}, "127.0.0.1"
			}
			go echo(ln)
			pool := NewPool(ln.Addr().String()).(*Pool)
			pool.Configure(settings)
			defer pool.CloseIdle()

			var known sync.Map // of *upConn
			var calls, answered, canceled, late, cancels atomic.Int64
			over := make(chan struct{})
			var callers, cancelers sync.WaitGroup
			for range 3 {
				cancelers.Go(func() {
					type aim struct {
						u   *upConn
						gen uint64
					}
					var old []aim
					for {
						select {
						case <-over:
							return
						default:
						}
						known.Range(func(k, _ any) bool {
							u := k.(*upConn)
							gen := u.generation()
							old = append(old, aim{u, gen})
							if !onlyOld && rand.IntN(20) == 0 {
								u.Cancel(gen)
							}
							return true
						})
						time.Sleep(time.Duration(rand.IntN(300)) * time.Microsecond)
						for range 20 {
							if len(old) == 0 {
								break
							}
							a := old[rand.IntN(len(old))] // of now, or of long ago
							if onlyOld && a.u.generation() == a.gen {
								continue
							}
							a.u.Cancel(a.gen)
							cancels.Add(1)
						}
						if len(old) > 200 {
							old = old[100:]
						}
					}
				})
			}
			for who := range 12 {
				callers.Go(func() {
					c := &caller{woken: make(chan struct{}, 1)}
					for {
						select {
						case <-over:
							return
						default:
						}
						id := fmt.Appendf(nil, "%02d-%07d", who, calls.Add(1))
						c.body, c.sent = id, false
						now := moment.Now()
						x := &message.Exchange{Down: c, Started: now.Time(), Sent: now, Deadline: now.Add(10 * time.Second), Idle: 10 * time.Second}
						if rand.IntN(10) == 0 {
							x.Deadline = now.Add(time.Duration(rand.IntN(400)) * time.Microsecond)
						}
						x.Request = message.Request{
							Method: []byte("POST"), Path: []byte("/"), Authority: []byte("h"), Minor: 1, Framing: message.Sized, Length: int64(len(id)),
						}
						got, err := exchange(pool, x, &known)
						switch {
						case err == nil && bytes.Equal(got, id):
							answered.Add(1)
						case err == nil:
							t.Errorf("%s has the answer %q", id, got)
						case errors.Is(err, message.ErrClientGone):
							canceled.Add(1)
						case isTimeout(err):
							late.Add(1)
						default:
							t.Errorf("%s: %v", id, err)
						}
					}
				})
			}
			time.Sleep(*stressFor)
			close(over)
			callers.Wait()
			cancelers.Wait()
			t.Logf("%d answered, %d canceled, %d too late; %d cancels", answered.Load(), canceled.Load(), late.Load(), cancels.Load())
			if answered.Load() == 0 || (canceled.Load() == 0) != onlyOld || late.Load() == 0 || cancels.Load() == 0 {
				t.Error("not what should come of it")
			}
			pool.mu.Lock()
			open, idle, line, dials := pool.open, len(pool.idle), pool.waiting.Len(), pool.dials
			pool.mu.Unlock()
			if open-idle-dials != 0 || line != 0 {
				t.Errorf("%d connections open, %d of them idle, %d on their way, %d calls in line", open, idle, dials, line)
			}
		})
	}
	f(false, false)
	f(false, true)
	f(true, false)
	f(true, true)
}

// exchange carries one call and reads its answer.
func exchange(pool *Pool, x *message.Exchange, known *sync.Map) (got []byte, err error) {
	if err := pool.Try(x); err != nil {
		if strings.Contains(err.Error(), "use of closed network connection") && !errors.Is(err, message.ErrClientGone) {
			return nil, fmt.Errorf("closed by a cancel that was not its own: %w", err)
		}
		return nil, err
	}
	known.Store(x.Up.(*upConn), true)
	defer x.Up.Release()
	for {
		p, err := x.Up.Next()
		got = append(got, p...)
		if err == io.EOF {
			return got, nil
		}
		if err != nil {
			return nil, err
		}
	}
}

// echo answers every request with its body of ten bytes.
func echo(ln net.Listener) {
	for {
		nc, err := ln.Accept()
		if err != nil {
			return
		}
		go func() {
			defer nc.Close()
			buf, have := make([]byte, 4096), 0
			for {
				n, err := nc.Read(buf[have:])
				if err != nil {
					return
				}
				have += n
				if end := bytes.Index(buf[:have], []byte("\r\n\r\n")); end >= 0 && have >= end+14 {
					have = 0
					if _, err := fmt.Fprintf(nc, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n%s", buf[end+4:end+14]); err != nil {
						return
					}
				}
			}
		}()
	}
}

func someCertificate(t *testing.T) tls.Certificate {
	server := httptest.NewUnstartedServer(nil)
	server.StartTLS()
	defer server.Close()
	return server.TLS.Certificates[0]
}
