package http1

import (
	"context"
	"errors"
	"fmt"

	"github.com/weir-gateway/weir/proxy/message"
	"github.com/weir-gateway/weir/proxy/table"
)

// Check asks the endpoint for a path, on a connection of its own: that it takes
// new ones is half of what is to be known. The answer's body is not read. Without
// a path the connection is all.
func (p *Pool) Check(ctx context.Context, path string) (status int, err error) {
	u, err := p.dial(ctx)
	if err != nil {
		return 0, err
	}
	p.mu.Lock()
	p.open++
	p.mu.Unlock()
	defer u.discard(table.Used)
	if path == "" {
		return 0, nil
	}
	stop := context.AfterFunc(ctx, func() { _ = u.nc.SetDeadline(longAgo) })
	defer stop()
	read, write := u.nc.Read, u.nc.Write
	if u.secure != nil {
		read, write = u.secure.tls.Read, u.secure.tls.Write
	}
	ask := fmt.Sprintf("GET %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: weir-health-check\r\nAccept: */*\r\nConnection: close\r\n\r\n", path, p.host())
	if _, err := write([]byte(ask)); err != nil {
		return 0, err
	}
	for buf, have := make([]byte, smallBuffer), 0; ; {
		n, err := read(buf[have:])
		have += n
		end, _, bad := headEnd(buf[:have], 0)
		switch {
		case bad != nil:
			return 0, protocol(bad.Error())
		case end > 0:
			var r message.Response
			_, err := parseResponse(buf[:end], &r, false, maxResponseFields)
			if err == nil && r.Status < 200 { // whoever waits for more of it has time until the next check
				err = errors.New("an interim answer came")
			}
			return r.Status, err
		case err != nil:
			return 0, err
		case have == maxResponseHead:
			return 0, protocol("the head is too large")
		case have == len(buf):
			buf = append(buf, make([]byte, len(buf))...)
		}
	}
}
