// Command testsum runs go test and says in one line what came of it.
//
//	testsum [-o FILE] [-min N] -- GO-TEST-ARGUMENTS
//
// It prints a line for each package, the whole output of what failed, a line
// for each test that was skipped (a skip is a hole, so it is loud), and last
// the plain line "N passed, N failed, N skipped". Subtests count as tests; a
// package that fails outside any test (it does not build, its TestMain found
// a leak, it panicked) counts as one failed. With -o the three numbers go to
// FILE as well. It exits with 1 if anything failed or if fewer than -min
// tests ran: a suite that ran nothing has not passed.
package main
