package testkit

import (
	"fmt"
	"os"
	"os/exec"
	"testing"
)

// Program returns the path of a program that a test needs. Without it the test
// is skipped, loudly; under CI=true it fails, because there nobody would
// notice. pkg is Debian's package, for the person who reads that.
func Program(t testing.TB, name, pkg string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err == nil {
		return path
	}
	Without(t, "%s is not here (apt-get install %s)", name, pkg)
	return ""
}

// Without skips a test that cannot run here, loudly; under CI=true it fails.
func Without(t testing.TB, format string, args ...any) {
	t.Helper()
	said := "SKIPPED: " + fmt.Sprintf(format, args...) + ", so nobody has checked this"
	if os.Getenv("CI") == "true" {
		t.Fatal(said)
	}
	t.Skip(said)
}
