// Package bench measures weir from outside: the real binary, real processes,
// real sockets on loopback. Its figures stand in RESULTS.md, each with machine,
// date, commit and command.
//
// Not here: benchmarks of single functions, which stand beside them; the
// comparison with other proxies and the load generator, which come with
// weir bench.
package bench
