package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

var chainRounds = flag.Int("chain.rounds", 3, "how many calls TestChainOfProcesses makes, one after the other")

// chainNext is the environment's variable that makes the test binary a function of a
// chain: the URL of the next one, or the word last. CHAIN_NAME is its own name, and
// CHAIN_BOOK the file where it notes what happens to it.
const chainNext = "WEIR_TEST_CHAIN"

// chainUp is where such a function answers as soon as it can.
const chainUp = "/up"

// A chainNote is what a function of a chain has seen.
type chainNote struct {
	Round, Name string
	Left        bool      // its caller is gone; else a call has come
	Millis      int       // that it was told to have
	At          time.Time `json:"at"`
}

// serveChain is the life of such a function: it calls the next one, with the time it
// was told to have, and thinks until its caller is gone.
func serveChain() {
	next := os.Getenv(chainNext)
	book, err := os.OpenFile(os.Getenv("CHAIN_BOOK"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		panic(err)
	}
	note := func(n chainNote) {
		n.Name, n.At = os.Getenv("CHAIN_NAME"), time.Now()
		line, _ := json.Marshal(n)
		_, _ = book.Write(append(line, '\n'))
	}
	ln, err := net.FileListener(os.NewFile(3, "socket"))
	if err != nil {
		panic(err)
	}
	panic(http.Serve(ln, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == chainUp {
			return
		}
		millis, _ := strconv.Atoi(r.Header.Get("X-Request-Timeout-Ms"))
		n := chainNote{Round: r.Header.Get("X-Round"), Millis: millis}
		note(n)
		if next != "last" {
			ask, err := http.NewRequestWithContext(r.Context(), http.MethodGet, next, http.NoBody)
			if err != nil {
				panic(err)
			}
			ask.Header.Set("X-Request-Timeout-Ms", strconv.Itoa(millis))
			ask.Header.Set("X-Round", n.Round)
			if res, err := http.DefaultClient.Do(ask); err == nil {
				res.Body.Close()
			}
		}
		<-r.Context().Done()
		n.Left = true
		note(n)
	})))
}

// serveSocket starts the test binary with a socket and an environment. It ends with
// the test.
func serveSocket(t *testing.T, ln net.Listener, env ...string) {
	t.Helper()
	socket, err := ln.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	cmd := exec.Command(os.Args[0])
	cmd.Env, cmd.ExtraFiles, cmd.Stderr = append(os.Environ(), env...), []*os.File{socket}, os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
}

// Three functions, a process each, call each other through the gateway under one
// deadline. Each is told what is left of it, and when it has passed all three are left
// alone, whatever they are about.
func TestChainOfProcesses(t *testing.T) {
	book := filepath.Join(t.TempDir(), "book")
	names := []string{"a", "b", "c"}
	var sockets []net.Listener
	doc := "admin: { address: \"127.0.0.1:0\" }\ntelemetry: { access_log: { output: none } }\nfunctions:\n"
	for _, name := range names {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		sockets = append(sockets, ln)
		doc += fmt.Sprintf("  %s: { endpoints: [%q] }\n", name, ln.Addr())
	}
	doc += "routes: [{ path_prefix: /a, function: a }, { path_prefix: /b, function: b }, { path_prefix: /c, function: c }]\nlisteners: [{ address: \"127.0.0.1:0\" }]\n"
	file := filepath.Join(t.TempDir(), "weir.yaml")
	write(t, file, doc)
	w := startRun(t, file)
	for i, name := range names {
		next := "last"
		if i+1 < len(names) {
			next = w.url + "/" + names[i+1]
		}
		serveSocket(t, sockets[i], chainNext+"="+next, "CHAIN_NAME="+name, "CHAIN_BOOK="+book)
	}
	for _, ln := range sockets { // to start is no part of the second that a call has
		res, err := http.Get("http://" + ln.Addr().String() + chainUp)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
	}

	const whole = time.Second
	var late []time.Duration // of all three, after the deadline
	for round := range *chainRounds {
		ask, err := http.NewRequest(http.MethodGet, w.url+"/a", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		ask.Header.Set("X-Request-Timeout-Ms", strconv.Itoa(int(whole.Milliseconds())))
		ask.Header.Set("X-Round", strconv.Itoa(round))
		began := time.Now()
		res, err := http.DefaultClient.Do(ask)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != http.StatusGatewayTimeout {
			t.Errorf("status %d", res.StatusCode)
		}
		var came, left []chainNote
		eventually(t, "all three have been called and are left", func() bool {
			came, left = nil, nil
			text, err := os.ReadFile(book)
			if err != nil {
				return false
			}
			for line := range strings.Lines(string(text)) {
				var n chainNote
				if json.Unmarshal([]byte(line), &n) != nil || n.Round != strconv.Itoa(round) {
					continue
				}
				if n.Left {
					left = append(left, n)
				} else {
					came = append(came, n)
				}
			}
			return len(came) == 3 && len(left) == 3
		})
		most := int(whole.Milliseconds())
		for i, n := range came { // in the order in which they were called
			if n.Name != names[i] || n.Millis <= 0 || n.Millis > most {
				t.Errorf("%s was told that it has %d ms, the one before it %d", n.Name, n.Millis, most)
			}
			most = n.Millis
		}
		if most == int(whole.Milliseconds()) {
			t.Error("the last one has not been told what is left")
		}
		for _, n := range left {
			if after := n.At.Sub(began.Round(0)); after < whole-20*time.Millisecond {
				t.Errorf("%s was left after %v of %v", n.Name, after, whole)
			} else {
				late = append(late, after-whole)
			}
		}
	}
	if len(late) > 0 {
		slices.Sort(late)
		t.Logf("%d calls of functions were ended after the deadline had passed: median %v, the latest %v", len(late), late[len(late)/2], late[len(late)-1])
	}
}
