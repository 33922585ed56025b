package http1

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/weir-gateway/weir/internal/moment"
	"github.com/weir-gateway/weir/proxy/message"
	"github.com/weir-gateway/weir/proxy/table"
)

// upSettings are a Pool's table.Settings, as it uses them. Frozen.
type upSettings struct {
	*table.Settings
	tls *tls.Config // nil: none
}

// newUpSettings goes on with the TLS of the earlier ones, and with the sessions
// in it, if it is to be the same.
func newUpSettings(s *table.Settings, was *upSettings) *upSettings {
	now := &upSettings{Settings: s}
	switch {
	case s.TLS == nil:
	case was != nil && was.tls != nil && *was.TLS == *s.TLS && was.Host == s.Host:
		now.tls = was.tls
	default:
		now.tls = clientTLS(s.TLS, s.Host)
	}
	return now
}

// keep is how long a connection is kept that no call is on.
func (s *upSettings) keep() time.Duration { return s.Timeouts.Idle * 2 / 3 }

// dial makes a connection. The error says what happened, and is
// message.ErrConnect, ErrConnectTimeout, ErrTLS or ErrCertificate.
func (p *Pool) dial(ctx context.Context) (*upConn, error) {
	s := p.settings.Load()
	ctx, cancel := context.WithTimeout(ctx, s.Timeouts.Connect)
	defer cancel()
	network := "tcp"
	if p.unix {
		network = "unix"
	}
	var dialer net.Dialer
	began := moment.Now()
	nc, err := dialer.DialContext(ctx, network, p.addr)
	if err != nil {
		return nil, connectError(err)
	}
	now := moment.Now()
	u := &upConn{pool: p, tls: s.tls, since: now, dialed: now.Sub(began)}
	if err := u.open(nc); err != nil {
		_ = nc.Close()
		return nil, fmt.Errorf("%w: %w", message.ErrConnect, err)
	}
	if s.tls != nil {
		if err := u.encrypt(ctx, s.tls); err != nil {
			_ = nc.Close()
			return nil, err
		}
	}
	s.Account.Open()
	u.body = body{wire: &u.wire, fillOne: u.fillBody}
	u.lookFn = u.peekAt
	return u, nil
}

func connectError(err error) error {
	if isSlow(err) {
		return fmt.Errorf("%w: %w", message.ErrConnectTimeout, err)
	}
	return fmt.Errorf("%w: %w", message.ErrConnect, err)
}

// isSlow tells whether an error is that something took too long.
func isSlow(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout() || errors.Is(err, context.DeadlineExceeded)
}
