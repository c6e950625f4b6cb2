package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// asProgram makes the test binary run as wsd itself, so that tests have the
// real program: its exit codes, signals and environment.
const asProgram = "WSD_TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// patience is how long a test waits for what should happen at once.
const patience = 2 * time.Minute

// programPatience is how long a program may run that hangs.
const programPatience = 8 * time.Minute

// program returns wsd with these arguments and this environment, and no other
// WSD_ variable.
func program(t testing.TB, env []string, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), programPatience)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, self, args...)
	for _, pair := range os.Environ() {
		if !strings.HasPrefix(pair, "WSD_") {
			cmd.Env = append(cmd.Env, pair)
		}
	}
	// Under the race detector a program that exits waits a second for reports.
	cmd.Env = append(append(cmd.Env, env...), asProgram+"=1", "GORACE=atexit_sleep_ms=0")
	return cmd
}

// outcome is how a program ended.
type outcome struct {
	code           int
	stdout, stderr string
}

func runProgram(t *testing.T, env []string, args ...string) outcome {
	t.Helper()
	cmd := program(t, env, args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if exit := new(exec.ExitError); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return outcome{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

func writeFile(t *testing.T, name, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// output collects what a running program writes.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// until polls for a condition.
func until(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !holds(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain until %s", what)
		}
	}
}
