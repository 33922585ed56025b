// Command function is scalertest.Play as a program of its own, for platforms
// that run images and not the test.
package main
