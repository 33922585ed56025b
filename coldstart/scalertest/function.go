package scalertest

import (
	"crypto/rand"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Marked says that this process is to Play and not to test.
const Marked = "WEIR_SCALERTEST"

// Play is the function that instances in the suite run, as their variables say:
// BOOT is how long it takes to start, EXIT the status that it ends with instead
// of serving, SAY a line for its standard error, STUBBORN one that does not
// listen to SIGTERM. It serves on the socket that it is given, or on PORT, and
// does not return.
func Play() {
	boot, _ := time.ParseDuration(os.Getenv("BOOT"))
	time.Sleep(boot) //nolint:forbidigo // a program that takes its time
	if say := os.Getenv("SAY"); say != "" {
		fmt.Fprintln(os.Stderr, say)
	}
	if status, err := strconv.Atoi(os.Getenv("EXIT")); err == nil {
		os.Exit(status)
	}
	if os.Getenv("STUBBORN") != "" {
		signal.Ignore(syscall.SIGTERM)
	}
	l, err := listen()
	if err != nil {
		fmt.Fprintln(os.Stderr, "fatal:", err)
		os.Exit(1)
	}
	since, id := time.Now(), rand.Text()
	mux := http.NewServeMux()
	mux.HandleFunc("/id", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, id) })
	mux.HandleFunc("/since", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, since.UnixNano()) })
	mux.HandleFunc("/args", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, strings.Join(os.Args, " ")) })
	mux.HandleFunc("/env", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, strings.Join(os.Environ(), "\n")) })
	mux.HandleFunc("/head", func(w http.ResponseWriter, r *http.Request) { _ = r.Header.Write(w) })
	mux.HandleFunc("/eat", eat)
	mux.HandleFunc("/crash", func(http.ResponseWriter, *http.Request) {
		fmt.Fprintln(os.Stderr, "panic: out of luck")
		os.Exit(3)
	})
	fmt.Fprintln(os.Stderr, "fatal:", http.Serve(l, mux))
	os.Exit(1)
}

// listen opens the socket of the function.
func listen() (net.Listener, error) {
	if os.Getenv("LISTEN_FDS") == "1" {
		return net.FileListener(os.NewFile(3, "socket"))
	}
	return net.Listen("tcp", net.JoinHostPort(os.Getenv("HOST"), os.Getenv("PORT")))
}

// eat takes as many MiB of memory as it is asked to.
func eat(w http.ResponseWriter, r *http.Request) {
	mib, _ := strconv.Atoi(r.URL.Query().Get("mib"))
	food := make([]byte, mib<<20)
	for i := 0; i < len(food); i += 4096 {
		food[i] = 1
	}
	fmt.Fprint(w, len(food))
}
