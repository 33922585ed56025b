package testkit

import (
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
	const missing = "SKIPPED: %s is not here (apt-get install %s), so nobody has checked this"
	if os.Getenv("CI") == "true" {
		t.Fatalf(missing, name, pkg)
	}
	t.Skipf(missing, name, pkg)
	return ""
}
