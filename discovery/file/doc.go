// Package file is the provider of endpoints that stand in files.
//
// Files are read again when something happens in their folders: a file that is
// replaced by renaming another over it, and one behind a symbolic link that is
// changed, as Kubernetes does with a ConfigMap, make no event of their own. A
// file that cannot be used keeps what was last read from it.
//
// Not here: the format (discovery/document).
package file
