package layers

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// save keeps overrides for the next start, before they take effect: who was told
// that one stands must find it.
func (s *Stack) save(list []Override) error {
	if s.keep == "" {
		return nil
	}
	text, err := json.MarshalIndent(list, "", "  ")
	if err == nil {
		err = replace(s.keep, append(text, '\n'))
	}
	if err != nil {
		return &Refusal{NotKept, fmt.Sprintf("The overrides cannot be kept, so nothing was changed: %s", err), nil}
	}
	return nil
}

// keepBeside keeps overrides in another file as well, which settings name that may
// yet be refused. What somebody else has kept there is not written over.
func (s *Stack) keepBeside(file string, list []Override) error {
	if file == s.keep || file == "" {
		return nil
	}
	text, err := json.MarshalIndent(list, "", "  ")
	if err != nil {
		return err
	}
	switch _, err := os.Lstat(file); {
	case err == nil:
		return fmt.Errorf("admin.overrides_file: %s is there already, and the overrides that stand would take its place; name a new file, or restart weir to have what it says", file)
	case !errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("admin.overrides_file: %w", err)
	}
	if err := replace(file, append(text, '\n')); err != nil {
		return fmt.Errorf("admin.overrides_file: the overrides cannot be kept there: %w", err)
	}
	return nil
}

// forget takes away the file that keepBeside has made for nothing, or the one that
// has been moved from: with it, a later start would find what does not stand.
func (s *Stack) forget(file string) {
	if file == s.keep || file == "" {
		return
	}
	if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
		s.Log.Error("a file of overrides that are not kept there any more is left", "file", file, "error", err.Error())
	}
}

// replace writes a file so that whoever reads it has the old one or the new
// one, also after the power has gone.
func replace(name string, text []byte) error {
	f, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+".*") // mode 0600: there may be secrets in it
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		_ = os.Remove(f.Name())
		return err
	}
	dir, err := os.Open(filepath.Dir(name))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// readOverrides returns what was kept and has not expired; nothing if nothing
// was.
func readOverrides(name string, now time.Time) ([]Override, error) {
	text, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var list []Override
	if err := json.Unmarshal(text, &list); err != nil {
		return nil, fmt.Errorf("%s is not what weir wrote: %w", name, err)
	}
	return slices.DeleteFunc(list, func(o Override) bool { return o.expired(now) || !json.Valid(o.Value) }), nil
}
