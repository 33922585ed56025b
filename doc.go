// Command weir is the front door of a function platform: it routes each call to
// an instance of its function, and when there is none it holds the call, has
// one started, and hands the call over the moment it listens.
//
// main.go and gateway.go name every concrete type once and wire them top to
// bottom; cmd*.go are the command line. docs/architecture.md has the map.
package main
