package testkit

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Docker returns the socket of the Docker engine that a test needs, and the
// docker command. Without them the test is skipped, loudly; under CI=true it
// fails.
func Docker(t testing.TB) (socket, command string) {
	t.Helper()
	command = Program(t, "docker", "docker.io")
	socket = "/var/run/docker.sock"
	out, err := exec.Command(command, "--host", "unix://"+socket, "version", "--format", "{{.Server.Version}}").CombinedOutput()
	if err == nil {
		return socket, command
	}
	const missing = "SKIPPED: no Docker engine answers (%s), so nobody has checked this"
	if os.Getenv("CI") == "true" {
		t.Fatalf(missing, strings.TrimSpace(string(out)))
	}
	t.Skipf(missing, strings.TrimSpace(string(out)))
	return "", ""
}

// Image builds an image on nothing but a static Go program, and removes it at
// the end. pkg is the program's folder as go build has it.
func Image(t testing.TB, pkg string) (name string) {
	t.Helper()
	_, command := Docker(t)
	dir := t.TempDir()
	run := func(env []string, args ...string) {
		t.Helper()
		cmd := exec.Command(args[0], args[1:]...)
		cmd.Env = append(os.Environ(), env...)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
	run([]string{"CGO_ENABLED=0"}, "go", "build", "-o", filepath.Join(dir, "function"), pkg)
	if err := os.WriteFile(filepath.Join(dir, "Dockerfile"), []byte("FROM scratch\nCOPY function /function\nENTRYPOINT [\"/function\"]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	name = "weir-test:" + strings.ToLower(filepath.Base(filepath.Dir(dir))+filepath.Base(dir))
	run([]string{"DOCKER_BUILDKIT=0"}, command, "build", "--quiet", "--tag", name, dir)
	t.Cleanup(func() { run(nil, command, "image", "rm", "--force", name) })
	return name
}
