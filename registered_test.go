package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/weir-gateway/weir/internal/testkit"
)

// registerWith is the environment's variable that makes the test binary an
// instance which registers itself, as services do that know Consul.
const registerWith = "WEIR_TEST_REGISTER_WITH"

// beat is how often an instance looks after its registration.
const beat = 200 * time.Millisecond

// serveRegistered is the life of such an instance: it listens, registers
// itself, does so again whenever the agent has forgotten it, and at SIGTERM
// leaves before it stops.
func serveRegistered() {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	name, kind := os.Getenv("NAME"), os.Getenv("CHECK")
	pid := strconv.Itoa(os.Getpid())
	id := name + "-" + pid
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, pid) })}
	go server.Serve(ln)

	check := testkit.ConsulCheck{CheckID: id, TTL: "2s"}
	if kind == "http" {
		check = testkit.ConsulCheck{CheckID: id, HTTP: "http://" + ln.Addr().String() + "/", Interval: "1s", Timeout: "1s"}
	}
	registration := testkit.ConsulService{
		ID: id, Name: name, Address: "127.0.0.1", Port: ln.Addr().(*net.TCPAddr).Port, Checks: []testkit.ConsulCheck{check},
	}
	leave := make(chan os.Signal, 1)
	signal.Notify(leave, syscall.SIGTERM)
	for known := false; ; {
		if !known {
			known = tellAgent("PUT", "service/register", registration)
		}
		if kind == "ttl" {
			known = known && tellAgent("PUT", "check/pass/"+id, nil)
		} else {
			known = known && tellAgent("GET", "service/"+id, nil)
		}
		select {
		case <-leave:
			tellAgent("PUT", "service/deregister/"+id, nil) // if it is away, nobody knows us
			time.Sleep(2 * time.Second)                     // calls are on their way to us
			_ = server.Shutdown(context.Background())
			return
		case <-time.After(beat):
		}
	}
}

// tellAgent is one call of the agent's API; ok tells that it went well.
func tellAgent(method, path string, body any) (ok bool) {
	sent, err := json.Marshal(body)
	if err != nil {
		panic(err)
	}
	req, err := http.NewRequest(method, "http://"+os.Getenv(registerWith)+"/v1/agent/"+path, bytes.NewReader(sent))
	if err != nil {
		panic(err)
	}
	client := http.Client{Timeout: 5 * time.Second}
	res, err := client.Do(req)
	if err != nil {
		return false
	}
	res.Body.Close()
	return res.StatusCode == http.StatusOK
}

// A registered is an instance that runs.
type registered struct {
	*exec.Cmd
	t *testing.T
}

// register starts an instance of a service. It ends with the test.
func register(t *testing.T, agent, service, check string) registered {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), registerWith+"="+agent, "NAME="+service, "CHECK="+check)
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	return registered{cmd, t}
}

func (r registered) pid() string { return strconv.Itoa(r.Process.Pid) }

// id is its service's.
func (r registered) id(service string) string { return service + "-" + r.pid() }

// retire has it leave, and waits for its end.
func (r registered) retire() {
	r.t.Helper()
	if err := r.Process.Signal(syscall.SIGTERM); err != nil {
		r.t.Fatal(err)
	}
	r.Wait()
}
