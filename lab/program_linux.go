package lab

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// Main runs the tests of a package that is about the real program: it builds wsd
// once, sets program to where it is, and writes at the end which tests were skipped.
// It is for TestMain, and returns the exit status.
func Main(m *testing.M, program *string) int {
	dir, err := os.MkdirTemp("", "wsd-lab-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	*program = filepath.Join(dir, "wsd")
	if out, err := exec.Command("go", "build", "-o", *program, "wsd/cmd/wsd").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "building wsd: %v\n%s", err, out)
		return 1
	}
	code := m.Run()
	WriteSkipped(os.Stderr)
	return code
}

// Form returns short, or long in the long form of the tests.
func Form[T any](short, long T) T {
	if Long() {
		return long
	}
	return short
}

// Slack is what a busy machine may add to a time-out.
const Slack = time.Minute

// Within waits for what has to come after d at most, and Slack for a
// busy machine. If it does not, the test fails.
func Within(t testing.TB, d time.Duration, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(d + Slack); !is(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within %v and %v: %s", d, Slack, what)
		}
	}
}
