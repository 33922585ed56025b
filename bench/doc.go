// Package bench measures weir from outside: the real binary, real processes,
// real sockets on loopback. Its figures stand in RESULTS.md, each with machine,
// date, commit and command. It is what weir bench runs, and it can measure any
// HTTP/1.1 server.
//
// Latency counts from the moment a call was to be sent. The schedule decides
// that moment and never waits for the target: when no connection is free the
// call is late, and the lateness is part of its latency. How late the client
// itself was is recorded beside it, so that a report can say who was the limit.
//
// 2026-11-25: an epoll loop per core, not a goroutine per connection. Measured
// against wrk, which is one too, a call takes about as much processor time
// (RESULTS.md), and a connection costs a few hundred bytes; the wait for the next
// send is part of the same system call. A goroutine per connection, which was not
// built, would pay the runtime's timer and scheduler for each call. What would
// change our mind: another system than Linux.
//
// 2026-11-25: package main imports bench, for weir bench; nobody else does.
//
// Not here: benchmarks of single functions, which stand beside them.
package bench
