package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/weir-gateway/weir/config"
)

func fmtCommand() *cobra.Command {
	var write, check bool
	cmd := &cobra.Command{
		Use:   "fmt [FILE...]",
		Short: "Indent configuration files in the one form, comments kept",
		Long: `Indent configuration files in the one form: two spaces for each level, lists
below their key, no spaces at the ends of lines. Comments, and every word, stay
as they are. Without a file it is WEIR_CONFIG, or weir.yaml; the result goes to
standard output, with -w into the file.`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, files []string) error {
			if write && check {
				return exit(exitUsage, errors.New("-w writes what --check only looks at: take one of them"))
			}
			if len(files) == 0 {
				files = []string{envOr("WEIR_CONFIG", "weir.yaml")}
			}
			differ := 0
			for _, file := range files {
				before, after, err := formatted(file)
				if err != nil {
					return exit(exitFailed, err)
				}
				same := bytes.Equal(before, after)
				switch {
				case check && !same:
					differ++
					fmt.Fprintln(cmd.OutOrStdout(), file)
				case check, write && same:
				case write:
					if err := overwrite(file, after); err != nil {
						return exit(exitFailed, fmt.Errorf("cannot write %s: %w", file, err))
					}
				default:
					if _, err := cmd.OutOrStdout().Write(after); err != nil {
						return err
					}
				}
			}
			if differ > 0 {
				return exit(exitFailed, fmt.Errorf("%s not formatted; weir fmt -w does it", plural(differ, "file")))
			}
			return nil
		},
	}
	cmd.Flags().BoolVarP(&write, "write", "w", false, "write into the files")
	cmd.Flags().BoolVar(&check, "check", false, "only name the files that are not formatted; then the exit code is 1")
	return cmd
}

func formatted(file string) (before, after []byte, err error) {
	if before, err = os.ReadFile(file); err != nil {
		return nil, nil, err
	}
	after, err = config.Format(file, before)
	return before, after, err
}

// overwrite replaces a file, or what a link leads to, keeping who may read it:
// a weir that watches it sees the old one or the new one.
func overwrite(file string, text []byte) error {
	real, err := filepath.EvalSymlinks(file)
	if err != nil {
		return err
	}
	info, err := os.Stat(real)
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(real), "."+filepath.Base(real)+".*")
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	err = errors.Join(err, f.Chmod(info.Mode().Perm()), f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), real)
	}
	if err != nil {
		_ = os.Remove(f.Name())
	}
	return err
}
