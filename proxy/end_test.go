package proxy

import (
	"log/slog"
	"testing"
	"time"

	"github.com/weir-gateway/weir/coldstart"
	"github.com/weir-gateway/weir/config"
	"github.com/weir-gateway/weir/internal/moment"
	"github.com/weir-gateway/weir/proxy/message"
	"github.com/weir-gateway/weir/proxy/table"
)

// A client that counts its answers.
type client struct {
	message.Downstream
	heads, aborts int
}

func (c *client) WriteHead(*message.Response) error { c.heads++; return nil }
func (c *client) Write([]byte) error                { return nil }
func (c *client) Finish() error                     { return nil }
func (c *client) Abort()                            { c.aborts++ }

// An upstream whose connection cannot be given back.
type stuck struct{ message.Upstream }

func (stuck) Release() { panic("a test") }

type counter int

func (n *counter) Record(*Call) { *n++ }

func TestAPanicWhileGivingBackCostsOneCall(t *testing.T) {
	f := func(name string, prepare func(c *Call)) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			records, down := counter(0), &client{}
			p := &Proxy{recorder: &records, log: slog.New(slog.DiscardHandler)}
			fn := &table.Function{State: &table.State{Hold: coldstart.NewHold(1, coldstart.NewPool(1), func() {})}}
			c := &Call{table: &table.Table{Config: &config.Config{}, Unrouted: fn}, fn: fn}
			c.Down = down
			c.Start(time.Now())
			prepare(c)
			func() {
				p.inFlight.Add(1)
				defer p.end(c)
				c.release()
			}()
			if records != 1 || down.heads != 1 || p.InFlight() != 0 {
				t.Errorf("%d records, %d answers, %d inside; want 1, 1, 0", records, down.heads, p.InFlight())
			}
		})
	}
	f("the slot", func(c *Call) { c.ep = &table.Endpoint{Link: &table.Link{}} }) // which it never took
	f("the connection", func(c *Call) { c.Up = stuck{} })
}

func TestPatienceIsForTheWholeCall(t *testing.T) {
	now := time.Now()
	c := &Call{fn: &table.Function{Function: config.Function{ColdStart: config.ColdStart{MaxWait: 30 * time.Second}}}}
	c.Deadline, c.held = moment.Of(now.Add(time.Hour)), 20*time.Second // before a try that failed
	if until, _ := c.patience(now); !until.Equal(now.Add(10 * time.Second)) {
		t.Errorf("may wait for %v more, want 10 s", until.Sub(now))
	}
}

// A call that panics while it stands in line leaves it, or all behind it would
// stand there for ever.
func TestPanicInLineLeavesIt(t *testing.T) {
	pool := coldstart.NewPool(10)
	hold := coldstart.NewHold(10, pool, func() {})
	c := &Call{fn: &table.Function{State: &table.State{Hold: hold}}} // without a set: looking for a slot panics
	c.Start(time.Now())
	func() {
		defer func() {
			if recover() == nil {
				t.Error("nothing panicked, so nothing was tried")
			}
		}()
		_ = c.wait()
	}()
	if !hold.Empty() || pool.Held() != 0 {
		t.Errorf("%d still in line, %d places taken", hold.Len(), pool.Held())
	}
}
