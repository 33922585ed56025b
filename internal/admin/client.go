package admin

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"github.com/valyala/fasthttp"
)

const (
	dialTimeout = 3 * time.Second
	getTimeout  = 30 * time.Second
	answerBytes = 256 << 20
)

// A Client asks a running weir through its admin interface.
type Client struct {
	// Address as host:port; without a host it is this machine.
	Address string
}

// Get asks for a path and reads the answer's JSON into into.
func (c Client) Get(path string, into any) error { return c.Do("GET", path, nil, into) }

// Do asks for something to be done, with a body that is written as JSON unless
// it is nil, and reads the answer's JSON into into.
func (c Client) Do(method, path string, body, into any) error {
	var text []byte
	if body != nil {
		var err error
		if text, err = json.Marshal(body); err != nil {
			return fmt.Errorf("cannot write what is asked of %s: %w", path, err)
		}
	}
	status, answer, err := c.ask(method, path, text)
	if err != nil {
		return fmt.Errorf("cannot reach weir's admin API at %s: %w; is weir running? see --admin", c.Address, reason(err))
	}
	return c.read(path, status, answer, into)
}

// read takes an answer apart.
func (c Client) read(path string, status int, body []byte, into any) error {
	if status != fasthttp.StatusOK && status != fasthttp.StatusCreated {
		var p rejection
		if json.Unmarshal(body, &p) == nil && p.Detail != "" {
			return errors.New(p.Detail + p.places())
		}
		return fmt.Errorf("%s answered %s with %d %s; is that weir's admin address? see --admin", c.Address, path, status, fasthttp.StatusMessage(status))
	}
	if err := json.Unmarshal(body, into); err != nil {
		return fmt.Errorf("%s answered %s with something else than weir would (%w); is that weir's admin address? see --admin", c.Address, path, err)
	}
	return nil
}

// ask makes one request on one connection. A command asks once: fasthttp's own
// client would keep a pool and the goroutines that look after it.
func (c Client) ask(method, path string, text []byte) (status int, body []byte, err error) {
	address := strings.TrimSuffix(strings.TrimPrefix(c.Address, "http://"), "/")
	if host, port, err := net.SplitHostPort(address); err == nil {
		if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
			address = net.JoinHostPort("localhost", port)
		}
	}
	nc, err := net.DialTimeout("tcp", address, dialTimeout)
	if err != nil {
		return 0, nil, err
	}
	defer func() { _ = nc.Close() }()
	_ = nc.SetDeadline(time.Now().Add(getTimeout))
	request, response := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
	defer fasthttp.ReleaseRequest(request)
	defer fasthttp.ReleaseResponse(response)
	request.SetRequestURI("http://" + address + path)
	request.Header.SetUserAgent("weir")
	request.Header.SetMethod(method)
	if text != nil {
		request.Header.SetContentType("application/json")
		request.SetBodyRaw(text)
	}
	request.SetConnectionClose()
	w := bufio.NewWriter(nc)
	if err := request.Write(w); err != nil {
		return 0, nil, err
	}
	if err := w.Flush(); err != nil {
		return 0, nil, err
	}
	if err := response.ReadLimitBody(bufio.NewReader(nc), answerBytes); err != nil {
		return 0, nil, err
	}
	return response.StatusCode(), append([]byte(nil), response.Body()...), nil
}

// reason takes off an error what the message says already.
func reason(err error) error {
	var op *net.OpError
	if errors.As(err, &op) {
		err = op.Err
	}
	var call *os.SyscallError
	if errors.As(err, &call) {
		err = call.Err
	}
	return err
}
