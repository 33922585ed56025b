// Command testsum runs go test and says in one line what came of it.
//
//	testsum [-o FILE] [-min N] [-again N] PACKAGES -- GO-TEST-FLAGS
//
// It prints a line for each package, the whole output of what failed, a line
// for each test that was skipped (a skip is a hole, so it is loud), and last
// the plain line "N passed, N failed, N skipped". Subtests count as tests; a
// package that fails outside any test (it does not build, its TestMain found
// a leak, it panicked) counts as one failed. With -o the three numbers go to
// FILE as well. It exits with 1 if anything failed or if fewer than -min
// tests ran: a suite that ran nothing has not passed.
//
// With -again N, if no more than N tests failed and nothing else did, each is
// run a second time, alone. One that passes then counts as passed and has a
// line "FLAKY" before the last: on a machine whose neighbours are busy a whole
// run of thousands of tests with real servers should not fail for one that was
// late, and the test is a bug to mend all the same. A panic, a race, a package
// that does not build or that fails outside its tests is never excused.
package main
