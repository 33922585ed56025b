package config

import (
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
	return load(path, lookupEnv)
}

// Parse is Load for a document that is in memory already; its name is for
// messages, and relative commands are relative to its folder.
func Parse(name string, doc []byte) (*Config, error) {
	return parse(name, doc, lookupEnv)
}

func load(path string, env lookup) (*Config, error) {
	files, err := readFiles(path, env)
	if err != nil {
		return nil, err
	}
	return files.With(nil)
}

func readFile(path string, most int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, reason(err)
	}
	defer f.Close()
	doc, err := io.ReadAll(io.LimitReader(f, most+1))
	if err != nil {
		return nil, reason(err)
	}
	if int64(len(doc)) > most {
		return nil, fmt.Errorf("it is longer than %v", Size(most))
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
	return parseOn(realDisk(), name, doc, env)
}

// parseOn is parse with the disk that included files are on.
func parseOn(disk disk, name string, doc []byte, env lookup) (*Config, error) {
	return filesOn(disk, name, doc, env).With(nil)
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
