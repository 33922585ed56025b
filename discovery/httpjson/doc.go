// Package httpjson is the provider of endpoints that a web server knows: it
// asks a URL for a document, again and again, and says which version it has
// (ETag), so that what has not changed is not sent.
//
// Only a whole document with status 200 is an answer, and 304 for the one that
// was had before. Everything else leaves what was known.
//
// Not here: the format (discovery/document).
package httpjson
