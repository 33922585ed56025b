// Package http1 is HTTP/1.1 on the wire: the serve loop towards clients, the
// connection pool and the one try towards endpoints, bodies.
//
// scan.go, fields.go and write.go are pure functions from bytes to heads and
// back; everything that waits is in conn.go, park.go, watch.go, line.go, await.go
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
//   - A connection that rests is in its server's line; the Watcher's take
//     decides whose it is, the line is only where to look (rest.go).
//   - Who is told to leave while it waits for a call is told under the server's
//     lock, by state; a call that crosses that is served, and is the last.
//
// Decision, 2026-11-23: waiting uses syscall.RawConn.Read instead of
// net.Conn.Read, because only there can the buffer be taken when there is
// something to put into it. It costs no system call more.
//
// Decision, 2026-11-25: the data calls (socket.go) are raw system calls. The
// runtime's own wake its monitor thread whenever an idle process makes one,
// which made a call at 5,000 a second 1.3 times as dear as nginx's. A call that
// does not block need not be watched; nobody but a long computation without a
// system call would miss the monitor, and weir has none.
//
// Decision, 2026-11-23: a tunnel (tunnel.go) is a body without end in both
// directions, so it has no machinery of its own. Any protocol may be switched
// to but HTTP/2 and TLS: calls inside those would pass weir unseen.
package http1
