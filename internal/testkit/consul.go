package testkit

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// consulPatience bounds every wait for an agent, which leads after about two
// seconds on an idle machine.
const consulPatience = 60 * time.Second

// A Consul is a real agent of Consul: server and client in one, of a datacenter
// with nobody else in it, whose memory is all that it has. Its methods belong to
// the goroutine of the test, and fail the test when the agent refuses.
type Consul struct {
	Address    string // of its HTTP API, host:port; the same after a restart
	Datacenter string
	Token      string // that the test asks with; "" is nobody's

	t      testing.TB
	tokens int // made
	args   []string
	wan    string // where other datacenters join it
	cmd    *exec.Cmd
	dead   chan struct{} // closed when cmd has ended
	output string        // a file
	scheme string
	client http.Client
}

// StartConsul runs an agent until the test ends, and returns when it leads.
// hcl is what its configuration says in addition, "" for nothing. Without
// Consul the test is skipped, loudly; under CI=true it fails.
func StartConsul(t testing.TB, datacenter, hcl string) *Consul {
	t.Helper()
	return startConsul(t, datacenter, hcl, "http", "", &http.Transport{})
}

// StartSecureConsul runs one that speaks TLS, with a certificate of the
// authority's for the name consul.test and for nothing else, to those who have
// one of the authority's themselves, and that lets nobody do anything without a
// token. The test's own may do everything.
func StartSecureConsul(t testing.TB, a *Authority) *Consul {
	t.Helper()
	const management = "b1a5f00d-0000-4000-8000-000000000001"
	_, cert, key := a.Sign("consul.test", time.Hour)
	own, _, _ := a.Sign("test", time.Hour)
	wire := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: a.Pool(), ServerName: "consul.test", Certificates: []tls.Certificate{own}}}
	return startConsul(t, "dc1", fmt.Sprintf(`
		ca_file = %q
		cert_file = %q
		key_file = %q
		verify_incoming_https = true
		ports { http = -1 }
		acl {
			enabled = true
			default_policy = "deny"
			tokens { master = %[4]q agent = %[4]q }
		}`, a.File, cert, key, management), "https", management, wire)
}

func startConsul(t testing.TB, datacenter, hcl, scheme, token string, wire *http.Transport) *Consul {
	t.Helper()
	program := Program(t, "consul", "consul, from bullseye: scripts/deps does it")
	dir := t.TempDir()
	c := &Consul{
		Datacenter: datacenter, Token: token, t: t, output: filepath.Join(dir, "output"), scheme: scheme,
		client: http.Client{Transport: wire, Timeout: consulPatience},
	}
	ports := freePorts(t, 4)
	c.Address, c.wan = address(ports[0]), address(ports[2])
	settings := filepath.Join(dir, "test.hcl")
	if err := os.WriteFile(settings, []byte(hcl), 0o600); err != nil {
		t.Fatal(err)
	}
	c.args = []string{
		program, "agent", "-dev", "-node=node-" + datacenter, "-datacenter=" + datacenter,
		"-bind=127.0.0.1", "-client=127.0.0.1", "-dns-port=-1", "-grpc-port=-1",
		"-" + scheme + "-port=" + ports[0], "-serf-lan-port=" + ports[1], "-serf-wan-port=" + ports[2], "-server-port=" + ports[3],
		"-config-file=" + settings, "-log-level=warn",
	}
	c.run()
	t.Cleanup(func() {
		c.client.CloseIdleConnections()
		c.Kill()
		if said, err := os.ReadFile(c.output); err == nil && t.Failed() {
			t.Logf("consul of %s: %s", datacenter, said)
		}
	})
	c.awaitLeader()
	return c
}

func address(port string) string { return net.JoinHostPort("127.0.0.1", port) }

// freePorts are n ports of the loopback on which nobody listens now, over TCP
// and UDP: gossip wants both.
func freePorts(t testing.TB, n int) (ports []string) {
	t.Helper()
	for len(ports) < n {
		tcp, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer tcp.Close() // at the end: no port comes twice
		udp, err := net.ListenPacket("udp", tcp.Addr().String())
		if err != nil {
			continue
		}
		defer udp.Close()
		ports = append(ports, strconv.Itoa(tcp.Addr().(*net.TCPAddr).Port))
	}
	return ports
}

func (c *Consul) run() {
	c.t.Helper()
	output, err := os.OpenFile(c.output, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		c.t.Fatal(err)
	}
	defer output.Close()
	cmd, dead := exec.Command(c.args[0], c.args[1:]...), make(chan struct{})
	cmd.Stdout, cmd.Stderr = output, output
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + filepath.Dir(c.output)} // no CONSUL_*
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		c.t.Fatal(err)
	}
	go func() {
		defer close(dead)
		_ = cmd.Wait() // it is killed
	}()
	c.cmd, c.dead = cmd, dead
}

// awaitLeader waits until the datacenter has a leader, and its node is known.
func (c *Consul) awaitLeader() {
	c.t.Helper()
	c.await(20*time.Millisecond, "has a leader", func() error {
		select {
		case <-c.dead:
			c.t.Fatalf("consul of %s has ended", c.Datacenter)
		default:
		}
		var nodes []any
		if err := c.ask("GET", "/v1/catalog/nodes", nil, &nodes); err != nil {
			return err
		}
		if len(nodes) == 0 {
			return errors.New("no node yet")
		}
		return nil
	})
}

// await asks again and again until there is no error.
func (c *Consul) await(pause time.Duration, what string, ask func() error) {
	c.t.Helper()
	tick := time.NewTicker(pause)
	defer tick.Stop()
	for end := time.Now().Add(consulPatience); ; <-tick.C {
		err := ask()
		if err == nil {
			return
		}
		if time.Now().After(end) {
			c.t.Fatalf("not within %v: consul of %s %s: %v", consulPatience, c.Datacenter, what, err)
		}
	}
}

// Kill ends the agent at once, with all that it knew.
func (c *Consul) Kill() {
	_ = c.cmd.Process.Kill() // it may be dead
	<-c.dead
}

// Restart runs an agent in the killed one's place. It knows nothing.
func (c *Consul) Restart() {
	c.t.Helper()
	c.run()
	c.awaitLeader()
}

// Stop freezes the agent: it accepts connections and answers nothing. The signal
// reaches its threads one after another; Stop returns when the last has stopped.
func (c *Consul) Stop() {
	c.t.Helper()
	c.signal(syscall.SIGSTOP)
	end := time.After(consulPatience)
	for !c.stopped() {
		select {
		case <-time.After(time.Millisecond):
		case <-end:
			c.t.Fatal("consul does not stop")
		}
	}
}

// stopped tells whether all threads of the agent are.
func (c *Consul) stopped() bool {
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", c.cmd.Process.Pid))
	if err != nil {
		c.t.Fatal(err)
	}
	for _, thread := range threads {
		stat, err := os.ReadFile(thread)
		if err == nil && !bytes.Contains(stat, []byte(") T ")) { // an error: it has ended
			return false
		}
	}
	return true
}

// Continue lets it go on.
func (c *Consul) Continue() { c.signal(syscall.SIGCONT) }

func (c *Consul) signal(s syscall.Signal) {
	c.t.Helper()
	if err := c.cmd.Process.Signal(s); err != nil {
		c.t.Fatal(err)
	}
}

// Join federates two datacenters: each answers for the other from then on.
func (c *Consul) Join(other *Consul) {
	c.t.Helper()
	c.must("PUT", "/v1/agent/join/"+other.wan+"?wan=1", nil, nil)
	c.await(50*time.Millisecond, "and "+other.Datacenter+" answer for each other", func() error {
		return errors.Join(c.ask("GET", "/v1/catalog/nodes?dc="+other.Datacenter, nil, nil),
			other.ask("GET", "/v1/catalog/nodes?dc="+c.Datacenter, nil, nil))
	})
}

// A ConsulService is a registration as the agent's API has it.
type ConsulService struct {
	ID      string // Name, if empty
	Name    string
	Address string
	Port    int
	Tags    []string          `json:",omitempty"`
	Meta    map[string]string `json:",omitempty"`
	Weights *ConsulWeights    `json:",omitempty"`
	Checks  []ConsulCheck     `json:",omitempty"`
}

// ConsulWeights are the weights of a service by its health.
type ConsulWeights struct{ Passing, Warning int }

// A ConsulCheck is one check of a service, with exactly one of TTL, HTTP and
// TCP. Durations are Go's: "10s".
type ConsulCheck struct {
	CheckID  string `json:",omitempty"`
	TTL      string `json:",omitempty"`
	HTTP     string `json:",omitempty"`
	TCP      string `json:",omitempty"`
	Interval string `json:",omitempty"`
	Timeout  string `json:",omitempty"`
	Status   string `json:",omitempty"` // at first: critical, if empty
}

// Register registers a service, anew if its ID is known.
func (c *Consul) Register(s ConsulService) {
	c.t.Helper()
	c.must("PUT", "/v1/agent/service/register", s, nil)
}

// Deregister takes a service out.
func (c *Consul) Deregister(id string) {
	c.t.Helper()
	c.must("PUT", "/v1/agent/service/deregister/"+url.PathEscape(id), nil, nil)
}

// Maintain puts a service into maintenance mode, or out of it.
func (c *Consul) Maintain(id string, on bool) {
	c.t.Helper()
	c.must("PUT", fmt.Sprintf("/v1/agent/service/maintenance/%s?enable=%t&reason=test", url.PathEscape(id), on), nil, nil)
}

// Check says of a check with a TTL that it is passing, warning or critical.
func (c *Consul) Check(id, status string) {
	c.t.Helper()
	c.must("PUT", "/v1/agent/check/update/"+url.PathEscape(id), map[string]string{"Status": status, "Output": status}, nil)
}

// Put writes a key.
func (c *Consul) Put(key, value string) {
	c.t.Helper()
	c.must("PUT", "/v1/kv/"+key, value, nil)
}

// Delete removes a key.
func (c *Consul) Delete(key string) {
	c.t.Helper()
	c.must("DELETE", "/v1/kv/"+key, nil, nil)
}

// NewToken makes a token that has the rights of these rules, "" for none.
func (c *Consul) NewToken(rules string) (secret string) {
	c.t.Helper()
	type named struct{ Name string }
	asked := struct{ Policies []named }{}
	if rules != "" {
		c.tokens++
		policy := fmt.Sprintf("test-%d", c.tokens)
		c.must("PUT", "/v1/acl/policy", map[string]string{"Name": policy, "Rules": rules}, nil)
		asked.Policies = []named{{policy}}
	}
	var made struct{ SecretID string }
	c.must("PUT", "/v1/acl/token", asked, &made)
	return made.SecretID
}

func (c *Consul) must(method, path string, body, answer any) {
	c.t.Helper()
	if err := c.ask(method, path, body, answer); err != nil {
		c.t.Fatal(err)
	}
}

// ask is one call of the API. body is sent as it is if it is a string, else as
// JSON; what comes back is decoded into answer, unless that is nil.
func (c *Consul) ask(method, path string, body, answer any) error {
	var sent []byte
	switch b := body.(type) {
	case nil:
	case string:
		sent = []byte(b)
	default:
		var err error
		if sent, err = json.Marshal(b); err != nil {
			return err
		}
	}
	req, err := http.NewRequest(method, c.scheme+"://"+c.Address+path, bytes.NewReader(sent))
	if err != nil {
		return err
	}
	req.Header.Set("X-Consul-Token", c.Token)
	res, err := c.client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	said, err := io.ReadAll(res.Body)
	if err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("consul: %s %s: %s: %s", method, path, res.Status, strings.TrimSpace(string(said)))
	}
	if answer == nil {
		return nil
	}
	return json.Unmarshal(said, answer)
}
