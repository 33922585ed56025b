// Package document reads the endpoints of services from a document in YAML or
// JSON, which is what files and web servers have of them.
//
// One bad entry costs one entry; a document that is none, or says nothing about
// services, is an error, and the caller keeps what it had.
//
// Not here: where documents come from.
package document
