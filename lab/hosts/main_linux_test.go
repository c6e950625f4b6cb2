package hosts

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
	dir, err := os.MkdirTemp("", "wsd-lab-")
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

// slack is what a busy machine may add to a time-out.
const slack = 60 * time.Second

// form returns short, or long in the long form of the tests.
func form[T any](short, long T) T {
	if lab.Long() {
		return long
	}
	return short
}

// within waits for what has to come after so long at most, and the slack.
func within(t *testing.T, d time.Duration, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(d + slack); !is(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within %v and %v: %s", d, slack, what)
		}
	}
}
