package file

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/weir-gateway/weir/config"
	"github.com/weir-gateway/weir/discovery"
	"github.com/weir-gateway/weir/discovery/document"
)

// maxFile is how long a file may be: half a million endpoints.
const maxFile = 64 << 20

// A folder is what was read from files, by name.
type folder map[string]*content

// A content is what was last read from one file.
type content struct {
	sum      [sha256.Size]byte
	services document.Services // of the last time it could be used; nil: never
	refused  []discovery.Refusal
}

// read reads the file or folder at path. Nil services are no news: nothing has
// changed, or nothing could be read at all.
func (f folder) read(path string) (document.Services, []discovery.Refusal) {
	names, err := list(path)
	if err != nil { // what was read stands
		return nil, []discovery.Refusal{{What: path, Reason: reason(err)}}
	}
	changed := len(names) == 0
	for name := range f {
		if !slices.Contains(names, name) {
			delete(f, name)
			changed = true
		}
	}
	for _, name := range names {
		if f[name] == nil {
			f[name] = &content{}
		}
		changed = f[name].read(name) || changed
	}
	services, refused := f.joined(names)
	if !changed { // or no file could ever be read, which says nothing
		services = nil
	}
	return services, refused
}

// list returns the files at path, sorted.
func list(path string) ([]string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return []string{path}, nil
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		name := e.Name()
		if strings.HasPrefix(name, ".") {
			continue
		}
		switch filepath.Ext(name) {
		case ".yaml", ".yml", ".json":
			names = append(names, filepath.Join(path, name))
		}
	}
	return names, nil
}

// read reads the file if it is another than the last time, and tells whether
// its services are.
func (c *content) read(name string) (changed bool) {
	doc, err := readFile(name)
	if err != nil {
		c.refused = []discovery.Refusal{{What: name, Reason: reason(err) + c.instead()}}
		c.sum = [sha256.Size]byte{}
		return false
	}
	sum := sha256.Sum256(doc)
	if sum == c.sum {
		return false
	}
	c.sum = sum
	parse := document.YAML
	if filepath.Ext(name) == ".json" {
		parse = document.JSON
	}
	services, refused, err := parse(doc)
	if err != nil {
		c.refused = []discovery.Refusal{{What: name, Reason: err.Error() + c.instead()}}
		return false
	}
	for i := range refused {
		refused[i].What = name + ", " + refused[i].What
	}
	c.services, c.refused = services, refused
	return true
}

// instead says what holds instead of a file that cannot be used.
func (c *content) instead() string {
	if c.services == nil {
		return ""
	}
	return "; what was read from it before stands"
}

func readFile(name string) ([]byte, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() { // a pipe would keep us waiting
		return nil, errors.New("it is no regular file")
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	doc, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(doc) > maxFile {
		err = fmt.Errorf("it is longer than %v", config.Size(maxFile))
	}
	return doc, err
}

// reason is a file error without the name of the file, which is said already.
func reason(err error) string {
	var pathError *fs.PathError
	if errors.As(err, &pathError) {
		err = pathError.Err
	}
	return "cannot read it: " + err.Error()
}

// joined are the services of all files, and what in them is refused: the second
// time too an endpoint that is in two of them, and not the same.
func (f folder) joined(names []string) (document.Services, []discovery.Refusal) {
	all := document.Services{}
	var refused []discovery.Refusal
	for _, name := range names {
		refused = append(refused, f[name].refused...)
		for _, service := range slices.Sorted(maps.Keys(f[name].services)) {
			more, reasons := document.Join(all[service], f[name].services[service])
			all[service] = more
			for _, why := range reasons {
				refused = append(refused, discovery.Refusal{What: name + ", service " + service, Reason: why})
			}
		}
	}
	return all, refused
}
