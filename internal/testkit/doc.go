// Package testkit is what tests of several packages need.
//
// Not here: fakes of one package's own interfaces. They stand beside the tests
// that use them, where a reader finds them.
package testkit
