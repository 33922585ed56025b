//go:build linux

package process

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/weir-gateway/weir/coldstart/scalertest"
	"github.com/weir-gateway/weir/config"
)

// The functions in these tests are played by the test binary itself.
func TestMain(m *testing.M) {
	if os.Getenv(scalertest.Marked) != "" {
		scalertest.Play()
	}
	if role := os.Getenv("ROLE"); role != "" {
		play(role)
		return
	}
	os.Exit(m.Run())
}

func play(role string) {
	boot, _ := time.ParseDuration(os.Getenv("BOOT"))
	time.Sleep(boot) // a program that takes its time
	switch role {
	case "activated":
		serve(given())
	case "stubborn":
		signal.Ignore(syscall.SIGTERM)
		serve(given())
	case "port":
		l, err := net.Listen("tcp", "127.0.0.1:"+os.Getenv("PORT"))
		if err != nil {
			fail(err)
		}
		serve(l)
	case "broken":
		fmt.Println("all is well")
		fail(fmt.Errorf("no database"))
	case "partial":
		fmt.Print("half a line")
	case "long":
		fmt.Println(strings.Repeat("x", 3*lineBytes))
		fmt.Println("short")
		serve(given())
	case "spam":
		for {
			fmt.Println(strings.Repeat("spam ", 1000))
		}
	case "parent":
		// One child in the group, one outside; both hold our output open.
		beget(&syscall.SysProcAttr{})
		beget(&syscall.SysProcAttr{Setsid: true})
		if os.Getenv("LEAVE") != "" {
			os.Exit(1)
		}
		serve(given())
	case "sleeper":
		time.Sleep(time.Minute)
	case "stamp":
		l := given()
		at := time.Now()
		l.Accept()
		fmt.Println("accepting at", at.UnixNano())
		select {}
	case "weir":
		weir()
	default:
		fail(fmt.Errorf("no role %q", role))
	}
}

func beget(attr *syscall.SysProcAttr) {
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), "ROLE=sleeper", "BOOT=0")
	cmd.Stdout, cmd.Stderr, cmd.SysProcAttr = os.Stdout, os.Stderr, attr
	if err := cmd.Start(); err != nil {
		fail(err)
	}
	fmt.Println("begot", cmd.Process.Pid)
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "fatal:", err)
	os.Exit(1)
}

// given is the listener that a service manager hands over.
func given() net.Listener {
	if got, want := os.Getenv("LISTEN_PID"), fmt.Sprint(os.Getpid()); got != want {
		fail(fmt.Errorf("LISTEN_PID is %q, I am %s", got, want))
	}
	if got := os.Getenv("LISTEN_FDS"); got != "1" {
		fail(fmt.Errorf("LISTEN_FDS is %q", got))
	}
	l, err := net.FileListener(os.NewFile(3, "socket"))
	if err != nil {
		fail(err)
	}
	return l
}

func serve(l net.Listener) {
	since := time.Now()
	mux := http.NewServeMux()
	mux.HandleFunc("/pid", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, os.Getpid()) })
	mux.HandleFunc("/since", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, since.UnixNano()) })
	mux.HandleFunc("/args", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, strings.Join(os.Args, " ")) })
	mux.HandleFunc("/env", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, strings.Join(syscall.Environ(), "\n"))
	})
	mux.HandleFunc("/fd4", func(w http.ResponseWriter, _ *http.Request) {
		to, _ := os.Readlink("/proc/self/fd/4")
		fmt.Fprint(w, to)
	})
	mux.HandleFunc("/crash", func(http.ResponseWriter, *http.Request) {
		fmt.Fprintln(os.Stderr, "panic: out of luck")
		os.Exit(3)
	})
	http.Serve(l, mux)
}

// weir runs a platform with instances of both kinds, tells their pids and
// waits for its end.
func weir() {
	p := New(slog.New(slog.DiscardHandler))
	go p.Run(context.Background())
	for _, fn := range []config.Function{played("a", "activated", "fd"), played("b", "port", "port")} {
		fn.ColdStart.MaxScale = 5
		if err := p.ScaleUp(context.Background(), fn, 5); err != nil {
			fail(err)
		}
		for _, in := range p.Instances(fn.Name) {
			fmt.Println(in.PID)
		}
	}
	fmt.Println("up")
	select {}
}

// played is a function played by role.
func played(name, role, listen string, env ...string) config.Function {
	vars := map[string]string{"ROLE": role}
	for _, kv := range env {
		k, v, _ := strings.Cut(kv, "=")
		vars[k] = v
	}
	self, err := os.Executable()
	if err != nil {
		panic(err)
	}
	return config.Function{
		Name:      name,
		ColdStart: config.ColdStart{Concurrency: 7, MaxScale: 3},
		Process: &config.Process{
			Command: []string{self, "--port={{port}}"}, Env: vars, Listen: listen, StopTimeout: 10 * time.Second,
		},
	}
}
