package http1

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"

	"github.com/weir-gateway/weir/config"
	"github.com/weir-gateway/weir/proxy/message"
	"github.com/weir-gateway/weir/proxy/table"
)

// clientTLS makes the settings for an endpoint whose certificate has to be
// host's. What they are made of was checked when the configuration was read.
func clientTLS(t *config.UpstreamTLS, host string) *tls.Config {
	cfg := &tls.Config{
		ServerName: host, // a literal address is not sent, RFC 6066 section 3, but checked
		MinVersion: tls.VersionTLS12,
		NextProtos: []string{"http/1.1"},
		// One endpoint, one name: one session is all there is.
		ClientSessionCache: tls.NewLRUClientSessionCache(1),
		InsecureSkipVerify: t.InsecureSkipVerify, // said in the configuration
	}
	if t.MinVersion == "1.3" {
		cfg.MinVersion = tls.VersionTLS13
	}
	if t.CA != "" {
		cfg.RootCAs = x509.NewCertPool()
		cfg.RootCAs.AppendCertsFromPEM([]byte(t.CA))
	}
	if t.Cert != "" {
		own, err := tls.X509KeyPair([]byte(t.Cert), []byte(t.Key))
		if err != nil {
			panic("BUG: a certificate that was checked: " + err.Error())
		}
		cfg.Certificates = []tls.Certificate{own}
	}
	return cfg
}

// A secure is the TLS on a wire, and the wire's connection as TLS sees it. The
// wire's own connection stays the raw one: deadlines are the same for both, and
// closing it never waits to tell the endpoint (tls.Conn.Close may, for 5 s).
type secure struct {
	net.Conn
	rc  syscall.RawConn
	tls *tls.Conn

	ended  bool // the raw connection has
	atOnce bool // Read does not wait
	n      int  // what the last read at once returned
	err    syscall.Errno
	one    [1]byte
}

// errCutOff: the end of a TLS connection that nobody has announced may be
// anybody's doing, so what came before it is not whole (RFC 9112 section 9.8).
var errCutOff = errors.New("the TLS connection ended without a close_notify")

// encrypt does the handshake.
func (w *wire) encrypt(ctx context.Context, cfg *tls.Config) error {
	s := &secure{Conn: w.nc, rc: w.rc}
	s.tls = tls.Client(s, cfg)
	if err := s.tls.HandshakeContext(ctx); err != nil {
		return handshakeError(err)
	}
	w.secure, w.sender.tls = s, s.tls
	return nil
}

func handshakeError(err error) error {
	var invalid *tls.CertificateVerificationError
	switch {
	case errors.As(err, &invalid):
		return fmt.Errorf("%w: %w", message.ErrCertificate, err)
	case isSlow(err):
		return fmt.Errorf("%w: %w", message.ErrConnectTimeout, err)
	}
	return fmt.Errorf("%w: %w", message.ErrTLS, err)
}

// fill is wire.fill. TLS reads ahead, so here a connection that waits in the
// middle of a call has a buffer.
func (s *secure) fill(w *wire) error {
	if len(w.ask) > 0 {
		if err := w.sendAsk(); err != nil {
			return err
		}
	}
	took := w.buf == nil
	if took {
		w.buf = getBuffer(max(w.want, smallBuffer))
	}
	n, err := s.tls.Read(w.buf[w.w:])
	if took && n == 0 {
		putBuffer(w.buf)
		w.buf = nil
	}
	w.n = n
	w.w += n
	switch {
	case n > 0:
		return nil // an error comes again
	case err == nil: // TLS may have read what is no data
		return s.fill(w)
	case s.ended && (err == io.EOF || err == io.ErrUnexpectedEOF):
		return errCutOff
	}
	return err
}

// Read is for TLS. It remembers the end of the connection: TLS itself does not
// tell it from a close_notify.
func (s *secure) Read(p []byte) (n int, err error) {
	if s.atOnce {
		n, err = s.readAtOnce(p)
	} else {
		n, err = s.Conn.Read(p)
	}
	s.ended = s.ended || err == io.EOF
	return n, err
}

// readAtOnce reads what is here. Nothing is a timeout, which TLS survives.
func (s *secure) readAtOnce(p []byte) (int, error) {
	err := s.rc.Control(func(fd uintptr) { s.n, s.err = recv(fd, p, 0) })
	switch {
	case err != nil:
		return 0, err
	case s.err == syscall.EAGAIN:
		return 0, os.ErrDeadlineExceeded
	case s.err != 0:
		return 0, s.err
	case s.n == 0:
		return 0, io.EOF
	}
	return s.n, nil
}

// look is upConn.look. It takes in what TLS has to say to TLS, as the tickets for
// later sessions that a server sends on its own.
func (s *secure) look() table.End {
	s.atOnce = true
	n, err := s.tls.Read(s.one[:])
	s.atOnce = false
	switch {
	case n > 0:
		return table.Unsolicited
	case isTimeout(err):
		return alive
	}
	return table.Stale
}

// isAlert tells whether one side has ended TLS and said why.
func isAlert(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && (op.Op == "remote error" || op.Op == "local error")
}

// writeTLS is write. Pieces that are small go in one record.
func (s *sender) writeTLS(pieces [][]byte) (sent int, err error) {
	if len(pieces) == 1 {
		return s.tls.Write(pieces[0])
	}
	out := getBuffer(largeBuffer)[:0]
	defer func() { putBuffer(out) }()
	flush := func(p []byte) {
		if err == nil && len(p) > 0 {
			var n int
			n, err = s.tls.Write(p)
			sent += n
		}
	}
	for _, p := range pieces {
		if len(out)+len(p) > cap(out) {
			flush(out)
			out = out[:0]
		}
		if len(p) > cap(out) {
			flush(p)
		} else {
			out = append(out, p...)
		}
	}
	flush(out)
	return sent, err
}
