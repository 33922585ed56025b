package config

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// maxDocument is how long a document may be: ten thousand functions with
// everything said are 5 MB, and whoever gives us /dev/zero gets an answer.
const maxDocument = 16 << 20

// Load reads the configuration in a file. Mistakes in it are Errors.
//
// ${NAME} and ${NAME:-default} in values come from the environment; WEIR_REGION
// and WEIR_ADMIN_ADDRESS, if set, go before what the file says.
func Load(path string) (*Config, error) {
	return load(path, os.LookupEnv)
}

// Parse is Load for a document that is in memory already; its name is for
// messages, and relative commands are relative to its folder.
func Parse(name string, doc []byte) (*Config, error) {
	return parse(name, doc, os.LookupEnv)
}

func load(path string, env lookup) (*Config, error) {
	doc, err := readFile(path)
	if err != nil {
		return nil, fmt.Errorf("cannot read configuration %q: %w", path, err)
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("cannot find the folder of configuration %q: %w", path, err)
	}
	cfg, err := parse(path, doc, env)
	if err != nil {
		return nil, err
	}
	cfg.Path = abs
	return cfg, nil
}

func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, reason(err)
	}
	defer f.Close()
	doc, err := io.ReadAll(io.LimitReader(f, maxDocument+1))
	if err != nil {
		return nil, reason(err)
	}
	if len(doc) > maxDocument {
		return nil, fmt.Errorf("it is longer than %v", Size(maxDocument))
	}
	return doc, nil
}

// reason is a file error without the name of the file, which is said already.
func reason(err error) error {
	var pathError *fs.PathError
	if errors.As(err, &pathError) {
		return pathError.Err
	}
	return err
}

func parse(name string, doc []byte, env lookup) (*Config, error) {
	source := cleaned(doc)
	d := newDocument(name, source)
	d.checkUTF8()
	if len(d.mistakes) > 0 {
		return nil, d.verdict()
	}
	top := readYAML(source, d.failAt)
	if top == nil {
		d.hintAtBraces()
		return nil, d.verdict()
	}
	cfg := &Config{Hash: hash(doc)}
	r := reader{d, env}
	r.config(top, cfg)
	override(cfg, d, env)
	complete(cfg, d, folder(name))
	(&checker{cfg, d}).check()
	if err := d.verdict(); err != nil {
		return nil, err
	}
	return cfg, nil
}

func hash(doc []byte) string {
	sum := sha256.Sum256(doc)
	return hex.EncodeToString(sum[:])[:12]
}

// folder is the absolute folder of a file; the working one if it has no name.
// Without a working folder, relative is the best that is left.
func folder(name string) string {
	dir := filepath.Dir(name)
	if abs, err := filepath.Abs(dir); err == nil {
		return abs
	}
	return dir
}
