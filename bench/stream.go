package bench

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/coder/websocket"
)

// A Stream is a load of few, long exchanges: WebSockets, event streams, bodies
// that are read or written slowly. Each connection is a goroutine: there is
// little to send and much to wait for.
type Stream struct {
	URL         string
	Kind        string // one of StreamKinds
	Connections int
	Duration    time.Duration
	Every       time.Duration // between messages, or pieces of a body
	Size        int           // of a message or a piece, bytes
	Body        int64         // slow writers: length of the body
	Owned       string
}

// StreamKinds are what a Stream can be: echoed messages over WebSockets, server-
// sent events, and bodies in small pieces.
var StreamKinds = []string{"websocket", "sse", "slow-reader", "slow-writer"}

// A tally is what all connections of a stream saw.
type tally struct {
	start time.Time

	mu      sync.Mutex // guards all below
	record  *record
	lastErr error
}

func (t *tally) now() time.Duration { return time.Since(t.start) }

// add notes a message, an event or an answer.
func (t *tally) add(how outcome, status int, intended, sent time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.record.add(0, how, status, moments{max(intended, 0), max(sent, 0), t.now()})
}

func (t *tally) failed(began time.Duration, err error) {
	t.add(broken, 0, began, began)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.lastErr = err
}

// RunStream opens all connections, uses them until the time is over, and
// reports: of WebSockets each message with the time until its echo, from when
// it was due; of events each with the gap before it; of bodies each call.
func RunStream(ctx context.Context, s Stream) (*Report, error) {
	target, at, err := s.check()
	if err != nil {
		return nil, err
	}
	if err := needFiles(s.Connections); err != nil {
		return nil, err
	}
	if c, err := net.Dial("tcp", at.String()); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnreachable, err)
	} else {
		_ = c.Close()
	}
	tape := newTape(1)
	t := &tally{record: newRecord(1, tape), start: time.Now()}
	over, stop := context.WithTimeout(ctx, s.Duration)
	defer stop()
	use := map[string]func(context.Context, *url.URL, int, *tally) error{
		"websocket": s.websocket, "sse": s.events, "slow-reader": s.slowReader, "slow-writer": s.slowWriter,
	}[s.Kind]
	var all sync.WaitGroup
	for i := range s.Connections {
		all.Go(func() {
			for over.Err() == nil {
				began := t.now()
				err := use(over, target, i, t)
				if over.Err() != nil || err == nil && s.Kind != "slow-reader" && s.Kind != "slow-writer" {
					return
				}
				if err != nil {
					t.failed(began, err)
					if !waitFor(over, time.Second) { // not to flood what is ill
						return
					}
				}
			}
		})
	}
	all.Wait()
	t.record.tape.add(t.record.second, t.record.slice)
	l := Load{Connections: s.Connections, Duration: s.Duration, Kinds: []Kind{{Name: s.Kind}}, Steps: []Step{{1, 1, s.Duration}}}
	r := &Report{Target: target.String(), Began: t.start, Load: fmt.Sprintf("%s on %d connections for %s, %d bytes every %s", s.Kind, s.Connections, s.Duration, s.Size, s.Every)}
	r.fill(&l, []*worker{{record: t.record}}, tape, s.Duration)
	r.Offered, r.Client = 0, Client{}
	if ctx.Err() != nil {
		r.notef("stopped early")
	}
	if t.lastErr != nil {
		r.notef("connections failed, the last with: %s", t.lastErr)
	}
	return r, nil
}

func (s *Stream) check() (*url.URL, netip.AddrPort, error) {
	var at netip.AddrPort
	switch {
	case !slices.Contains(StreamKinds, s.Kind):
		return nil, at, fmt.Errorf("kind %q is none of %s", s.Kind, strings.Join(StreamKinds, ", "))
	case s.Connections < 1 || s.Connections > mostConnections:
		return nil, at, fmt.Errorf("connections: %d is not between 1 and %d", s.Connections, mostConnections)
	case s.Duration <= 0 || s.Duration > mostDuration:
		return nil, at, fmt.Errorf("duration: %s is not between nothing and %s", s.Duration, mostDuration)
	case s.Every < time.Millisecond:
		return nil, at, fmt.Errorf("every: %s is less than a millisecond", s.Every)
	case s.Size < 1 || s.Size > 1<<20 || s.Body < 0:
		return nil, at, errors.New("size: a piece has between a byte and a mebibyte")
	}
	target, err := parseTarget(s.URL)
	if err != nil {
		return nil, at, err
	}
	at, err = resolve(target, s.Owned)
	return target, at, err
}

// waitFor waits, and tells whether the time is not over.
func waitFor(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// websocket sends messages at their times and waits for each to come back.
func (s *Stream) websocket(ctx context.Context, target *url.URL, i int, t *tally) error {
	c, _, err := websocket.Dial(ctx, "ws://"+target.Host+target.RequestURI(), nil)
	if err != nil {
		return err
	}
	defer func() { _ = c.CloseNow() }()
	c.SetReadLimit(int64(s.Size) + 1)
	message := bytes.Repeat([]byte{'x'}, s.Size)
	// Not all at one moment.
	due := t.now() + s.Every*time.Duration(i)/time.Duration(s.Connections)
	for {
		if !waitFor(ctx, due-t.now()) {
			_ = c.Close(websocket.StatusNormalClosure, "")
			return nil
		}
		sent := t.now()
		if err := c.Write(ctx, websocket.MessageBinary, message); err != nil {
			return err
		}
		_, back, err := c.Read(ctx)
		if err != nil {
			return err
		}
		if len(back) != len(message) {
			return fmt.Errorf("%d bytes came back of %d: the target is no echo", len(back), len(message))
		}
		t.add(answered, 101, due, sent)
		due += s.Every
	}
}

// events takes server-sent events as they come.
func (s *Stream) events(ctx context.Context, target *url.URL, _ int, t *tally) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, target.String(), nil)
	if err != nil {
		return err
	}
	req.Header.Set("Accept", "text/event-stream")
	last := t.now()
	r, err := oneConnection().RoundTrip(req)
	if err != nil {
		return err
	}
	defer r.Body.Close()
	if kind := r.Header.Get("Content-Type"); r.StatusCode != 200 || !strings.HasPrefix(kind, "text/event-stream") {
		return fmt.Errorf("no event stream: status %d, %s", r.StatusCode, kind)
	}
	lines := bufio.NewScanner(r.Body)
	for data := false; lines.Scan(); {
		if line := lines.Text(); strings.HasPrefix(line, "data") {
			data = true
		} else if line == "" && data { // the end of an event (HTML, 9.2.6)
			t.add(answered, r.StatusCode, last, last)
			last, data = t.now(), false
		}
	}
	if err := lines.Err(); err != nil {
		return err
	}
	return errors.New("the stream ended")
}

// oneConnection is a transport that keeps nothing for others.
func oneConnection() *http.Transport {
	return &http.Transport{DisableKeepAlives: true, DisableCompression: true, ReadBufferSize: 4 << 10,
		DialContext: (&net.Dialer{}).DialContext}
}

// slowReader reads an answer in small pieces.
func (s *Stream) slowReader(ctx context.Context, target *url.URL, _ int, t *tally) error {
	began := t.now()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, target.String(), nil)
	if err != nil {
		return err
	}
	r, err := oneConnection().RoundTrip(req)
	if err != nil {
		return err
	}
	defer r.Body.Close()
	piece := make([]byte, s.Size)
	for {
		_, err := io.ReadFull(r.Body, piece)
		if err == io.EOF || err == io.ErrUnexpectedEOF && r.ContentLength < 0 {
			break
		}
		if err == io.ErrUnexpectedEOF { // the last piece, or an answer cut short
			if _, err = r.Body.Read(piece); err == io.EOF {
				break
			}
		}
		if err != nil {
			return err
		}
		if !waitFor(ctx, s.Every) {
			return nil
		}
	}
	t.add(answered, r.StatusCode, began, began)
	return nil
}

// slowWriter sends a body in small pieces.
func (s *Stream) slowWriter(ctx context.Context, target *url.URL, _ int, t *tally) error {
	began := t.now()
	body := &drip{ctx: ctx, left: s.Body, size: s.Size, every: s.Every}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, target.String(), body)
	if err != nil {
		return err
	}
	req.ContentLength = s.Body
	r, err := oneConnection().RoundTrip(req)
	if err != nil {
		return err
	}
	defer r.Body.Close()
	if _, err := io.Copy(io.Discard, r.Body); err != nil {
		return err
	}
	t.add(answered, r.StatusCode, began, began)
	return nil
}

// A drip is a body that comes slowly.
type drip struct {
	ctx   context.Context
	left  int64
	size  int
	every time.Duration
}

func (d *drip) Read(p []byte) (int, error) {
	if d.left == 0 {
		return 0, io.EOF
	}
	if !waitFor(d.ctx, d.every) {
		return 0, d.ctx.Err()
	}
	n := min(len(p), d.size, int(d.left))
	for i := range n {
		p[i] = 'x'
	}
	d.left -= int64(n)
	return n, nil
}
