package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// The programs under test, built once.
var wsd, chat string

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "wsd-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	wsd, chat = filepath.Join(dir, "wsd"), filepath.Join(dir, "chat")
	for _, build := range [][]string{{wsd, "wsd/cmd/wsd"}, {chat, "wsd/examples/chat"}} {
		if out, err := exec.Command("go", "build", "-o", build[0], build[1]).CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "building %s: %v\n%s", build[1], err, out)
			return 1
		}
	}
	return m.Run()
}

// needs fails the test if a client is missing. A skip would hide that nobody
// checks any more.
func needs(t *testing.T, what string, probe ...string) {
	t.Helper()
	if out, err := exec.Command(probe[0], probe[1:]...).CombinedOutput(); err != nil {
		t.Fatalf("%s is missing: run e2e/install.sh (%v: %v\n%s)", what, probe, err, out)
	}
}
