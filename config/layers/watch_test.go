package layers

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// run watches until the test ends.
func run(t *testing.T, d *desk) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- d.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if is() {
			return
		}
	}
	t.Fatalf("it never happens that %s", what)
}

func (d *desk) becomes(timeout string) {
	d.t.Helper()
	eventually(d.t, "the timeout becomes "+timeout, func() bool { return d.timeout() == timeout })
}

// Whichever way a file changes, it is read; whatever only looks so is not.
func TestWatch(t *testing.T) {
	d := sit(t, "include: conf.d/*.yaml\n"+document)
	run(t, d)
	main := "include: conf.d/*.yaml\n"

	d.put("weir.yaml", main+with("2s")) // renamed into place
	d.becomes("2s")

	if err := os.WriteFile(filepath.Join(d.dir, "weir.yaml"), []byte(main+with("3s")), 0o600); err != nil { // written in place
		t.Fatal(err)
	}
	d.becomes("3s")

	d.put("conf.d/10.yaml", "defaults: { timeouts: { idle: 7s } }\n") // a folder that was not there
	eventually(t, "the included file is read", func() bool { return d.Config().Defaults.Timeouts.Idle == 7*time.Second })

	d.put("conf.d/10.yaml", "defaults: { timeouts: { idle: 8s } }\n")
	eventually(t, "the included file is read again", func() bool { return d.Config().Defaults.Timeouts.Idle == 8*time.Second })

	d.put("conf.d/20.yaml", "defaults: {}\n") // says it twice
	eventually(t, "the mistake is told", func() bool {
		d.mu.Lock()
		defer d.mu.Unlock()
		return strings.Contains(d.logged.String(), "duplicate key")
	})
	d.becomes("3s")

	if err := os.Remove(filepath.Join(d.dir, "conf.d/20.yaml")); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(d.dir, "conf.d/10.yaml")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the included file is gone", func() bool { return d.Config().Defaults.Timeouts.Idle == time.Minute })

	entries := len(d.History())
	if err := os.Chtimes(filepath.Join(d.dir, "weir.yaml"), time.Time{}, time.Now()); err != nil {
		t.Fatal(err)
	}
	d.put("other.yaml", "not ours")
	d.put("weir.yaml", main+with("4s"))
	d.becomes("4s")
	if more := len(d.History()) - entries; more != 1 {
		t.Errorf("%d entries for one change", more)
	}
}

// A volume of Kubernetes is replaced by a link to another folder.
func TestWatchConfigMap(t *testing.T) {
	d := &desk{t: t, dir: t.TempDir()}
	swap := func(version, text string) {
		t.Helper()
		d.put(version+"/weir.yaml", text)
		link := filepath.Join(d.dir, "..data")
		if err := os.Symlink(version, link+"_tmp"); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(link+"_tmp", link); err != nil {
			t.Fatal(err)
		}
	}
	swap("..1", document)
	if err := os.Symlink("..data/weir.yaml", filepath.Join(d.dir, "weir.yaml")); err != nil {
		t.Fatal(err)
	}
	d.start()
	run(t, d)
	swap("..2", with("2s"))
	d.becomes("2s")
	if err := os.RemoveAll(filepath.Join(d.dir, "..1")); err != nil {
		t.Fatal(err)
	}
	swap("..3", with("3s"))
	d.becomes("3s")
}
