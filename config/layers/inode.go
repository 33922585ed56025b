package layers

import (
	"io/fs"
	"syscall"
)

// inode tells two files apart that have one name after the other.
func inode(info fs.FileInfo) uint64 {
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		return stat.Ino
	}
	return 0
}
