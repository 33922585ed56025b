// Package demo is what `weir demo` needs and nobody else: functions that are
// the weir binary itself in another role, the configuration that raises them,
// and the screen that shows a person what happens.
//
// Invariants
//
//   - Function costs a program that is not a demo function one comparison.
//   - Nobody waits for the screen: what a terminal does not take in time is
//     counted and left out.
//   - What a function prints cannot steer the terminal.
//
// Not here: the gateway (main wires it) and the calls (it is told of them as
// plain values, so that it need not know proxy).
package demo
