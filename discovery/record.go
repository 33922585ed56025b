package discovery

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/weir-gateway/weir/config"
)

// A record is what a file of the Memory says.
type record struct {
	Source    string     `json:"source"`
	Function  string     `json:"function"`
	Service   string     `json:"service"` // that it was asked for then: another one is another set
	Tags      []string   `json:"tags"`
	Learned   time.Time  `json:"learned"`
	Endpoints []Endpoint `json:"endpoints"`
}

// newRecord makes one of a report. Who has not proven to listen is not worth
// remembering.
func newRecord(source string, fn *config.Function, set []Endpoint) record {
	proven := slices.DeleteFunc(slices.Clone(set), func(ep Endpoint) bool { return ep.Unproven })
	return record{
		Source: source, Function: fn.Name, Service: fn.Service, Tags: fn.ServiceTags,
		Learned: time.Now().UTC(), Endpoints: proven,
	}
}

// header begins a file: what is in it, which the file's name ends with too, and
// the SHA-256 of all behind this line.
func header(name string) string {
	return "weir " + strings.TrimPrefix(filepath.Ext(name), ".") + " 1 sha256="
}

// longestRecord bounds a file: 20,000 endpoints.
const longestRecord = 8 << 20

var (
	errHeader   = errors.New("it does not begin as a file of weir's does")
	errChecksum = errors.New("its checksum is wrong: it was cut off or changed")
	errLong     = errors.New("it is too long")
)

func fileOf(source, function string) string {
	return filepath.Join(url.PathEscape(source), function+".endpoints")
}

func makeFolder(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("cannot keep endpoints in %q: %w", dir, bare(err))
	}
	return nil
}

// read returns what is remembered for a function. A file that is of no use
// costs itself.
func (m *Memory) read(file, source string, fn *config.Function) record {
	r, ok := recall[record](m, file)
	if !ok || r.Source != source || r.Function != fn.Name || r.Service != fn.Service || !slices.Equal(r.Tags, fn.ServiceTags) {
		return record{} // of another service: the configuration has changed
	}
	return r
}

// recall returns what a file of the Memory says, or will say when it is written.
func recall[T any](m *Memory, file string) (content T, ok bool) {
	m.mu.Lock()
	unsaved, here := m.unsaved[file].(T)
	m.mu.Unlock()
	if here {
		return unsaved, true
	}
	name := filepath.Join(m.dir, file)
	content, err := readFile[T](name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		m.log.Error("cannot recall what a source has said", "file", name, "error", err.Error())
	}
	return content, err == nil
}

func readFile[T any](name string) (content T, err error) {
	f, err := os.Open(name)
	if err != nil {
		return content, bare(err)
	}
	defer f.Close()
	raw, err := io.ReadAll(io.LimitReader(f, longestRecord+1))
	switch {
	case err != nil:
		return content, bare(err)
	case len(raw) > longestRecord:
		return content, errLong
	}
	return decode[T](header(name), raw)
}

func decode[T any](header string, raw []byte) (content T, err error) {
	var nothing T
	first, rest, _ := bytes.Cut(raw, []byte("\n"))
	sum, ok := bytes.CutPrefix(first, []byte(header))
	switch {
	case !ok:
		return nothing, errHeader
	case string(sum) != checksum(rest):
		return nothing, errChecksum
	}
	if err := json.Unmarshal(rest, &content); err != nil {
		return nothing, fmt.Errorf("cannot read it: %w", err)
	}
	return content, nil
}

// UnmarshalJSON refuses endpoints that cannot be called.
func (r *record) UnmarshalJSON(text []byte) error {
	type plain record
	if err := json.Unmarshal(text, (*plain)(r)); err != nil {
		return err
	}
	for _, ep := range r.Endpoints {
		if _, err := netip.ParseAddrPort(ep.Addr); err != nil && !strings.HasPrefix(ep.Addr, "unix:/") {
			return fmt.Errorf("it has an impossible address: %q", ep.Addr)
		}
	}
	return nil
}

func checksum(content []byte) string {
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:])
}

// write replaces a file: a reader, and a start after a crash, find the old one
// or the new one.
func (m *Memory) write(file string, content any) error {
	text, err := json.MarshalIndent(content, "", " ")
	if err != nil {
		return fmt.Errorf("cannot encode: %w", err)
	}
	name := filepath.Join(m.dir, file)
	first := header(name) + checksum(text) + "\n"
	if len(first)+len(text) > longestRecord {
		return errLong
	}
	if err := makeFolder(filepath.Dir(name)); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(name), ".new-*")
	if err != nil {
		return bare(err)
	}
	_, err = f.Write(append([]byte(first), text...))
	if err == nil {
		err = f.Sync()
	}
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		_ = os.Remove(f.Name()) // it is of no use
		return bare(err)
	}
	return nil
}

// bare is a file error without the name of the file, which is said already.
func bare(err error) error {
	var pathError *fs.PathError
	if errors.As(err, &pathError) {
		return pathError.Err
	}
	return err
}
