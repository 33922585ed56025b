package http1

import (
	"io"
	"net"
	"testing"
	"time"

	"github.com/weir-gateway/weir/config"
	"github.com/weir-gateway/weir/proxy"
)

// The time that a client has for taking its answer counts from when it was
// offered, not from before the machine stood still.
func TestAnAnswerIsOfferedAtLeastOnce(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	client, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	nc, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	patience := time.Minute
	c := &conn{call: &proxy.Call{}, cfg: &settings{Listener: config.Listener{Limits: config.Limits{BodyProgress: patience}}}}
	if err := c.open(nc); err != nil {
		t.Fatal(err)
	}
	c.call.Start(time.Now().Add(-2 * patience))
	if err := c.send([]byte("answer"), nil, nil); err != nil {
		t.Fatalf("%v, though the client was never offered it", err)
	}
	_ = nc.Close()
	if got, err := io.ReadAll(client); err != nil || string(got) != "answer" {
		t.Errorf("the client got %q, %v", got, err)
	}
}
