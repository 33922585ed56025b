// Package http1 is HTTP/1.1 on the wire: the serve loop towards clients, the
// connection pool and the one try towards endpoints, bodies.
//
// scan.go, fields.go and write.go are pure functions from bytes to heads and
// back; everything that waits is in conn.go, park.go, watch.go, upstream.go
// and upload.go.
//
// Invariants
//
//   - What is not strictly HTTP/1.1 (RFC 9112) is refused and the connection
//     closed: two parties that read one message differently are how requests
//     are smuggled.
//   - An outgoing head is written anew; nothing of the other side's framing
//     passes.
//   - A body ends cleanly only if it was whole, in both directions.
//   - A connection belongs to one goroutine. Others may only wake it, cut its
//     body, or cancel the one try whose generation they hold.
//   - A connection that idles holds no buffer.
//
// Decision, 2026-11-23: waiting uses syscall.RawConn.Read instead of
// net.Conn.Read, because only there can the buffer be taken when there is
// something to put into it. It costs no system call more.
//
// Decision, 2026-11-23: a tunnel (tunnel.go) is a body without end in both
// directions, so it has no machinery of its own. Any protocol may be switched
// to but HTTP/2 and TLS: calls inside those would pass weir unseen.
package http1
