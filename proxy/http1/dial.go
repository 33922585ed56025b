package http1

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/weir-gateway/weir/config"
	"github.com/weir-gateway/weir/proxy/message"
	"github.com/weir-gateway/weir/proxy/table"
)

// upSettings are a Pool's table.Settings, as it uses them. Frozen.
type upSettings struct {
	connect, keep, maxWait time.Duration
	maxOpen, maxDials      int
	account                *table.Account

	tls    *tls.Config // nil: none
	tlsOf  config.UpstreamTLS
	tlsFor string
}

// newUpSettings goes on with the TLS of the earlier ones, and with the sessions
// in it, if it is to be the same.
func newUpSettings(s table.Settings, was *upSettings) *upSettings {
	now := &upSettings{
		connect: s.Timeouts.Connect, keep: s.Timeouts.Idle * 2 / 3, maxWait: s.Upstream.MaxWait,
		maxOpen: s.Upstream.MaxConnections, maxDials: s.Upstream.MaxDials,
		account: s.Account,
	}
	switch {
	case s.TLS == nil:
	case was != nil && was.tls != nil && was.tlsOf == *s.TLS && was.tlsFor == s.Host:
		now.tls, now.tlsOf, now.tlsFor = was.tls, was.tlsOf, was.tlsFor
	default:
		now.tls, now.tlsOf, now.tlsFor = clientTLS(s.TLS, s.Host), *s.TLS, s.Host
	}
	return now
}

// dial makes a connection. The error says what happened, and is
// message.ErrConnect, ErrConnectTimeout, ErrTLS or ErrCertificate.
func (p *Pool) dial(ctx context.Context) (*upConn, error) {
	s := p.settings.Load()
	ctx, cancel := context.WithTimeout(ctx, s.connect)
	defer cancel()
	var dialer net.Dialer
	nc, err := dialer.DialContext(ctx, p.network, p.addr)
	if err != nil {
		return nil, connectError(err)
	}
	u := &upConn{pool: p, tls: s.tls, since: time.Now()}
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
	s.account.Open()
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
