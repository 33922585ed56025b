package telemetry

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-gateway/weir/config"
)

// running runs a Telemetry until the test ends; stop ends it before.
func running(t testing.TB, tel *Telemetry) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var work sync.WaitGroup
	work.Go(func() {
		if err := tel.Run(ctx); err != nil {
			t.Errorf("run: %v", err)
		}
	})
	stop = sync.OnceFunc(func() {
		cancel()
		work.Wait()
	})
	t.Cleanup(stop)
	return stop
}

func TestFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "access.log")
	if err := os.WriteFile(path, []byte("before\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	tel := with(t, path)
	r := setUp(t, tel, twoFunctions, answer(200, "hello"))
	stop := running(t, tel)
	r.call("GET", "/one")
	stop()
	got, err := os.ReadFile(path)
	if err != nil || !regexp.MustCompile(`^before\n\{.*"path":"/one".*\}\n$`).Match(got) {
		t.Errorf("%s, %v", got, err)
	}
}

func TestReopen(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "access.log")
	tel := with(t, path)
	r := setUp(t, tel, twoFunctions, answer(200, "hello"))
	stop := running(t, tel)
	r.call("GET", "/one")
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	tel.Reopen()
	for tel.access.reopen.Load() {
		time.Sleep(time.Millisecond)
	}
	r.call("GET", "/two")
	stop()
	for file, want := range map[string]string{path + ".1": "/one", path: "/two"} {
		got, err := os.ReadFile(file)
		if err != nil || strings.Count(string(got), "\n") != 1 || !strings.Contains(string(got), want) {
			t.Errorf("%s: %s, %v; want %s", file, got, err, want)
		}
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm()&^0o640 != 0 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
}

func TestOutputThatCannotBeOpened(t *testing.T) {
	_, err := New(config.Telemetry{AccessLog: config.AccessLog{Output: "/nowhere/access.log"}}, "here", slog.New(slog.DiscardHandler))
	if err == nil || err.Error() != "cannot open the access log /nowhere/access.log: open /nowhere/access.log: no such file or directory" {
		t.Error(err)
	}
}

// A box takes what is written from any goroutine.
type box struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (x *box) Write(p []byte) (int, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.b.Write(p)
}

func (x *box) String() string {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.b.String()
}

// A pipe is an output whose other end the test holds.
type pipe struct {
	write func([]byte) (int, error)
	close func()
}

func (p pipe) Write(b []byte) (int, error) { return p.write(b) }
func (p pipe) Close() error {
	if p.close != nil {
		p.close()
	}
	return nil
}

// into makes a Telemetry that logs into a pipe, and complains into told.
func into(t *testing.T, p pipe, told io.Writer) *Telemetry {
	tel := with(t, "stderr")
	_ = tel.access.out.Close()
	tel.access.out = p
	tel.access.log = slog.New(slog.NewTextHandler(told, nil))
	return tel
}

func TestLinesAreWrittenEverySecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got box
		tel := into(t, pipe{write: got.Write}, io.Discard)
		stop := running(t, tel)
		tel.access.put([]byte("line\n"))
		time.Sleep(flushEvery / 2)
		synctest.Wait()
		if got.String() != "" {
			t.Error("a single line was written at once")
		}
		time.Sleep(flushEvery)
		synctest.Wait()
		if got.String() != "line\n" {
			t.Errorf("after %v: %q", flushEvery, got.String())
		}
		tel.access.put(bytes.Repeat([]byte("x"), enough))
		synctest.Wait()
		if len(got.String()) != 5+enough {
			t.Error("enough to write, and it is not written")
		}
		stop()
	})
}

func TestSlowOutputCostsLinesNotMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told box
		stuck := make(chan struct{})
		tel := into(t, pipe{write: func(b []byte) (int, error) { <-stuck; return len(b), nil }}, &told)
		stop := running(t, tel)
		line := append(bytes.Repeat([]byte("x"), 1023), '\n')
		for range 20_000 {
			tel.access.put(line)
		}
		synctest.Wait()
		if n := cap(tel.access.pending) + cap(tel.access.spare); n > 4*maxPending {
			t.Errorf("%d bytes are kept", n)
		}
		if lost := tel.access.full.Get(); lost < 3000 || lost > 12_000 {
			t.Errorf("%d lines of 1 KiB lost, want what 8 or 16 MiB do not hold of 20,000", lost)
		}
		stuck <- struct{}{}
		synctest.Wait()
		if strings.Count(told.String(), "too slow") > 1 {
			t.Errorf("told more than once: %s", told.String())
		}
		tel.access.put(line)
		began := time.Now()
		stop() // the output is stuck again: the end does not wait for it
		if took := time.Since(began); took > lastFlush {
			t.Errorf("the end took %v", took)
		}
		if !strings.Contains(told.String(), "not whole") || !strings.Contains(told.String(), "too slow") {
			t.Errorf("told: %s", told.String())
		}
		close(stuck)
		synctest.Wait()
	})
}

func TestOutputThatFailsIsToldOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told, got box
		var full atomic.Bool
		full.Store(true)
		tel := into(t, pipe{write: func(b []byte) (int, error) {
			if full.Load() {
				return 2, errors.New("disk full")
			}
			return got.Write(b)
		}}, &told)
		stop := running(t, tel)
		for range 3 {
			tel.access.put([]byte("line\n"))
			time.Sleep(2 * flushEvery)
			synctest.Wait()
		}
		full.Store(false)
		tel.access.put([]byte("line\n"))
		stop()
		if n := tel.access.failed.Get(); n != 3 {
			t.Errorf("%d lines failed, want 3", n)
		}
		if n := strings.Count(told.String(), "disk full"); n != 1 {
			t.Errorf("told %d times: %s", n, told.String())
		}
		if got.String() != "line\n" {
			t.Errorf("after it was well again: %q", got.String())
		}
	})
}

// Who leaves `weir run | head` takes the log, not the gateway: Go ends a
// program that writes to descriptor 1 when nobody reads it.
func TestReaderOfTheStreamLeaves(t *testing.T) {
	const role = "WEIR_TEST_STREAM"
	if os.Getenv(role) != "" { // the child: the reader has left
		out, err := openOutput("stdout")
		if err == nil {
			_, err = out.Write([]byte("line\n"))
		}
		if !errors.Is(err, syscall.EPIPE) {
			os.Exit(1)
		}
		os.Exit(42)
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestReaderOfTheStreamLeaves$")
	cmd.Env = append(os.Environ(), role+"=1")
	cmd.Stdout = w
	_ = r.Close()
	if err := cmd.Run(); cmd.ProcessState == nil || cmd.ProcessState.ExitCode() != 42 {
		t.Errorf("the child ended with %v", err)
	}
	_ = w.Close()
}
