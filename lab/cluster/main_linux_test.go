package cluster

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"wsd/lab"
)

// The program under test, built once.
var wsd string

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "wsd-cluster-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	wsd = filepath.Join(dir, "wsd")
	if out, err := exec.Command("go", "build", "-o", wsd, "wsd/cmd/wsd").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "building wsd: %v\n%s", err, out)
		return 1
	}
	code := m.Run()
	lab.WriteSkipped(os.Stderr)
	return code
}

// patience is what a busy machine may take for anything.
const patience = 90 * time.Second

// form returns short, or long in the long form of the tests.
func form[T any](short, long T) T {
	if lab.Long() {
		return long
	}
	return short
}

// faultTime is how long a fault lasts.
func faultTime() time.Duration { return form(5*time.Second, time.Minute) }

// until waits for what has to come.
func until(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !is(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within %v: %s", patience, what)
		}
	}
}
