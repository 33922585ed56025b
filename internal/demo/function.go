package demo

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"
)

// role is the argument after which this program is a function of the demo.
const role = "__function"

// How long the functions take to start.
const (
	helloBoot  = 50 * time.Millisecond
	slowBoot   = 2 * time.Second
	shopBoot   = time.Second
	brokenBoot = 100 * time.Millisecond
)

// A stream is this long.
const (
	events     = 20
	eventEvery = 500 * time.Millisecond
)

// Function serves, if the arguments of this program say that it is a function
// of the demo, and then does not return. SIGTERM ends it.
func Function(args []string) {
	if len(args) != 3 || args[1] != role {
		return
	}
	if err := function(args[2]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

func function(name string) error {
	f := &instance{began: time.Now()}
	switch name {
	case "hello":
		time.Sleep(helloBoot)
		return serve(f.hello)
	case "slow":
		fmt.Println("starting, which takes me", slowBoot)
		time.Sleep(slowBoot)
		return serve(f.hello)
	case "shop", "checkout":
		time.Sleep(shopBoot)
		return serve(f.hello)
	case "stream":
		time.Sleep(helloBoot)
		return serve(f.stream)
	case "broken":
		time.Sleep(brokenBoot)
		return errors.New("cannot open the database (broken on purpose)")
	}
	return fmt.Errorf("the demo has no function %q", name)
}

// serve answers the calls on the socket that was handed over.
func serve(answer fasthttp.RequestHandler) error {
	ln, err := inherited()
	if err != nil {
		return err
	}
	server := fasthttp.Server{
		Handler:               answer,
		NoDefaultServerHeader: true,
		Logger:                quiet{},
	}
	return server.Serve(ln)
}

// inherited is the socket that is handed over the way systemd does it,
// sd_listen_fds(3): number 3, if LISTEN_PID says that it is meant for us.
func inherited() (net.Listener, error) {
	if os.Getenv("LISTEN_PID") != strconv.Itoa(os.Getpid()) || os.Getenv("LISTEN_FDS") != "1" {
		return nil, errors.New("this is a function of weir demo: weir starts it, with a socket for it to listen on")
	}
	file := os.NewFile(3, "socket")
	defer file.Close() // FileListener has a copy
	ln, err := net.FileListener(file)
	if err != nil {
		return nil, fmt.Errorf("cannot listen on the socket that was handed over: %w", err)
	}
	return ln, nil
}

// quiet logs nothing: a client that leaves is no news here.
type quiet struct{}

func (quiet) Printf(string, ...any) {}

// An instance is this process, as it knows itself.
type instance struct {
	began time.Time
	calls atomic.Int64
}

// hello tells how young the process is that answers.
func (f *instance) hello(c *fasthttp.RequestCtx) {
	n := f.calls.Add(1)
	age := time.Since(f.began)
	who := "a process that was not there a moment ago"
	if age > 5*time.Second {
		who = "a process that is still here"
	}
	c.SetContentType("text/plain; charset=utf-8")
	c.Response.Header.Set("Cache-Control", "no-store")
	fmt.Fprintf(c, "Hello from %s: started %d ms ago, pid %d, call number %d\n", who, age.Milliseconds(), os.Getpid(), n)
}

// stream counts, an event at a time, each sent at once.
func (f *instance) stream(c *fasthttp.RequestCtx) {
	c.SetContentType("text/event-stream")
	c.Response.Header.Set("Cache-Control", "no-store")
	c.SetBodyStreamWriter(func(w *bufio.Writer) {
		for i := 1; i <= events; i++ {
			if i > 1 {
				time.Sleep(eventEvery)
			}
			fmt.Fprintf(w, "id: %d\ndata: %d of %d, from pid %d\n\n", i, i, events, os.Getpid())
			if w.Flush() != nil {
				return // nobody listens any more
			}
		}
	})
}
