package http1_test

import (
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/weir-gateway/weir/internal/testkit"
)

// lanes is how many cases a peer is given at once, each on an address and with
// an endpoint of its own.
const lanes = 6

// A lane is a gateway in front of a recorder.
type lane struct {
	addr string
	rec  *recorder
	weir *gateway // one for each case; nil for the others
}

// A peer is who carries calls to an endpoint, and which version of it.
type peer struct {
	version string
	lanes   []lane
}

var startPeer = map[string]func(t *testing.T) peer{
	"weir": func(t *testing.T) peer {
		return peer{"", eachLane(t, func(*recorder) string { return "" })} // it has a new one for each case
	},
	// As its documentation has it: a server in front of a ReverseProxy.
	"net/http": func(t *testing.T) peer {
		return peer{runtime.Version(), eachLane(t, func(rec *recorder) string {
			quiet := slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
			transport := &http.Transport{DisableCompression: true, DisableKeepAlives: true}
			to := &url.URL{Scheme: "http", Host: rec.addr}
			server := &http.Server{ErrorLog: quiet, Handler: &httputil.ReverseProxy{
				Transport: transport, ErrorLog: quiet,
				Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(to); r.SetXForwarded(); r.Out.Host = r.In.Host },
			}}
			ln := loopback(t)
			go func() { _ = server.Serve(ln) }()
			t.Cleanup(func() { _ = server.Close(); transport.CloseIdleConnections() })
			return ln.Addr().String()
		})}
	},
	// As its examples have it: a server whose handler gives the request to a
	// HostClient.
	"fasthttp": func(t *testing.T) peer {
		return peer{moduleVersion("github.com/valyala/fasthttp"), eachLane(t, func(rec *recorder) string {
			client := &fasthttp.HostClient{Addr: rec.addr, Dial: func(addr string) (net.Conn, error) { return net.Dial("tcp", addr) }, MaxIdemponentCallAttempts: 1, MaxIdleConnDuration: 50 * time.Millisecond, ReadTimeout: 2 * time.Second}
			server := &fasthttp.Server{Logger: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError), Handler: func(ctx *fasthttp.RequestCtx) {
				ctx.Request.Header.Del("Connection")
				if err := client.Do(&ctx.Request, &ctx.Response); err != nil {
					ctx.Error("", fasthttp.StatusBadGateway)
				}
				ctx.Response.Header.Del("Connection")
			}}
			ln := loopback(t)
			var work sync.WaitGroup
			work.Go(func() { // not Serve, whose pool of workers outlives the test
				for {
					nc, err := ln.Accept()
					if err != nil {
						return
					}
					work.Go(func() { _ = server.ServeConn(nc) })
				}
			})
			t.Cleanup(func() { _ = ln.Close(); work.Wait(); client.CloseIdleConnections() })
			return ln.Addr().String()
		})}
	},
	"nginx": func(t *testing.T) peer {
		program := testkit.Program(t, "nginx", "nginx-light")
		dir := t.TempDir()
		var servers strings.Builder
		ready := eachLane(t, func(rec *recorder) string {
			addr := free(t)
			fmt.Fprintf(&servers, `server { listen %[1]s; location / { proxy_pass http://%[2]s; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host $host; } }
	`, addr, rec.addr)
			return addr
		})
		temp := ""
		for _, what := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
			temp += fmt.Sprintf("%s_temp_path %s; ", what, filepath.Join(dir, what))
		}
		conf := write(t, dir, "nginx.conf", fmt.Sprintf(`daemon off; master_process off; pid %s/pid; error_log /dev/null crit;
events { worker_connections 512; }
http { access_log off; %s
	%s }
`, dir, temp, servers.String()))
		run(t, ready, program, "-p", dir, "-e", "/dev/null", "-c", conf)
		return peer{versionOf(program, "-v"), ready}
	},
	"HAProxy": func(t *testing.T) peer {
		program := testkit.Program(t, "haproxy", "haproxy")
		var sections strings.Builder
		ready := eachLane(t, func(rec *recorder) string {
			addr, n := free(t), sections.Len()
			fmt.Fprintf(&sections, "frontend f%[1]d\n bind %[2]s\n default_backend b%[1]d\nbackend b%[1]d\n server s %[3]s\n", n, addr, rec.addr)
			return addr
		})
		conf := write(t, t.TempDir(), "haproxy.cfg", "global\n maxconn 512\ndefaults\n mode http\n timeout client 20s\n timeout connect 5s\n timeout server 20s\n"+sections.String())
		run(t, ready, program, "-db", "-f", conf)
		return peer{versionOf(program, "-v"), ready}
	},
}

func eachLane(t *testing.T, f func(rec *recorder) string) (all []lane) {
	t.Helper()
	for range lanes {
		rec := newRecorder(t)
		all = append(all, lane{f(rec), rec, nil})
	}
	return all
}

// loopback listens on an address of 127/8 that no other test process has, and no
// client calls from: a port of it that was free a moment ago still is, and who
// calls one that was another test's finds nobody.
func loopback(t testing.TB) net.Listener {
	t.Helper()
	pid := os.Getpid()
	for {
		ln, err := net.Listen("tcp", fmt.Sprintf("127.%d.%d.%d:0", 64+pid>>16&63, pid>>8&255, max(1, pid&255)))
		if err != nil {
			t.Fatal(err)
		}
		if _, given := promised.Load(ln.Addr().String()); !given {
			return ln
		}
		_ = ln.Close()
	}
}

// promised are the addresses that free has given away.
var promised sync.Map

// free is an address that nobody listened on a moment ago.
func free(t *testing.T) string {
	t.Helper()
	ln := loopback(t)
	defer ln.Close()
	promised.Store(ln.Addr().String(), true)
	return ln.Addr().String()
}

func write(t *testing.T, dir, name, text string) string {
	t.Helper()
	file := filepath.Join(dir, name)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// run runs a program until the test ends, and waits until it listens.
func run(t *testing.T, ready []lane, program string, args ...string) {
	t.Helper()
	var said strings.Builder
	cmd := exec.Command(program, args...)
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { defer close(ended); _ = cmd.Wait() }()
	t.Cleanup(func() { _ = cmd.Process.Kill(); <-ended })
	for _, l := range ready {
		for began := time.Now(); ; time.Sleep(5 * time.Millisecond) {
			if nc, err := net.Dial("tcp", l.addr); err == nil {
				_ = nc.Close()
				break
			}
			if time.Since(began) > 10*time.Second {
				_ = cmd.Process.Kill()
				<-ended
				t.Fatalf("%s does not listen: %s", program, said.String())
			}
		}
	}
}

var number = regexp.MustCompile(`\d+\.\d+\.\d+`)

func versionOf(program, flag string) string {
	out, _ := exec.Command(program, flag).CombinedOutput()
	return string(number.Find(out))
}

// moduleVersion is what go.mod says.
func moduleVersion(path string) string {
	text, _ := os.ReadFile("../../go.mod")
	_, after, _ := strings.Cut(string(text), path+" ")
	version, _, _ := strings.Cut(after, "\n")
	return version
}
