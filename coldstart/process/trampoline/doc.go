// Package trampoline is this program as the last step before an instance: an
// instance with listen: fd has to be told its own pid, which nobody knows before
// the fork, and Go runs nothing between fork and exec. So the program is run
// once more, notes the pid and becomes the instance's.
//
// Whoever imports this package has it: a process that is marked never reaches
// main. That is in init, and this package imports hardly anything, so that it
// comes before the variables of all the libraries of the program, which would
// cost each start of an instance some milliseconds.
//
// Not here: whom it is for and what comes of it (coldstart/process).
package trampoline
