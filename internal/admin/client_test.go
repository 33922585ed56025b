package admin

import (
	"io"
	"net"
	"testing"
)

func TestClient(t *testing.T) {
	w := open(t, document)
	client := Client{Address: w.addr}
	var all []Function
	if err := client.Get("/api/v1/functions", &all); err != nil || len(all) != 3 || all[1].Name != "hello" || all[1].Instances != 2 {
		t.Errorf("%+v, %v", all, err)
	}
	f := func(err error, want string) {
		t.Helper()
		if err == nil || err.Error() != want {
			t.Errorf("%v, want %s", err, want)
		}
	}
	f(client.Get("/api/v1/functions/nobody", &all), `There is no function "nobody".`)
	f(client.Get("/livez", &all), w.addr+" answered /livez with something else than weir would (invalid character 'o' looking for beginning of value); is that weir's admin address? see --admin")
	w.stop()
	f(client.Get("/api/v1/functions", &all), "cannot reach weir's admin API at "+w.addr+": connection refused; is weir running? see --admin")
	f(Client{Address: "nonsense"}.Get("/", &all), "cannot reach weir's admin API at nonsense: address nonsense: missing port in address; is weir running? see --admin")

	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	go func() {
		nc, err := ln.Accept()
		if err != nil {
			return
		}
		_, _ = nc.Read(make([]byte, 1000))
		_, _ = io.WriteString(nc, "HTTP/1.1 418 I'm a teapot\r\nContent-Length: 0\r\n\r\n")
		_ = nc.Close()
	}()
	f(Client{Address: ln.Addr().String()}.Get("/x", &all), ln.Addr().String()+" answered /x with 418 I'm a teapot; is that weir's admin address? see --admin")
}

func TestClientFindsAnUnspecifiedAddress(t *testing.T) {
	w := open(t, document)
	_, port, _ := net.SplitHostPort(w.addr)
	for _, address := range []string{":" + port, "0.0.0.0:" + port, "http://127.0.0.1:" + port + "/", "localhost:" + port} {
		var v Version
		if err := (Client{Address: address}).Get("/api/v1/version", &v); err != nil || v.Version != "v1.2.3" {
			t.Errorf("%s: %v %v", address, v, err)
		}
	}
}
