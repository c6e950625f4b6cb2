package status

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience is how long anything here may take before the test gives up.
const patience = 90 * time.Second

// wsd is the program under test, built once.
var wsd string

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "wsd-status-")
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
	return m.Run()
}

// log is what a program says.
type log struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *log) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

var serving = regexp.MustCompile(`"msg":"serving","listen":\["([^"]+)".*"admin":"([^"]+)"`)

// serve runs wsd serve on free ports until the test ends, and returns the
// addresses of clients and of publishers.
func serve(t *testing.T, flags ...string) (clients, admin string) {
	t.Helper()
	said := new(log)
	cmd := exec.Command(wsd, append([]string{"serve", "--listen=127.0.0.1:0", "--admin=127.0.0.1:0", "--drain-time=100ms", "--log-format=json"}, flags...)...)
	cmd.Stdout, cmd.Stderr = said, said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		if err := cmd.Wait(); err != nil {
			t.Errorf("wsd serve: %v\n%s", err, said)
		}
	})
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if found := serving.FindStringSubmatch(said.String()); found != nil {
			return found[1], found[2]
		}
	}
	t.Fatalf("wsd serve did not begin:\n%s", said)
	return "", ""
}

// command runs a program to its end, which has to be a good one.
func command(t *testing.T, env []string, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	said := new(log)
	cmd.Stdout, cmd.Stderr = said, said
	if err := cmd.Start(); err != nil {
		t.Fatalf("%s is missing: run e2e/install.sh and e2e/status/install.sh (%v)", name, err)
	}
	late := time.AfterFunc(patience, func() { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) })
	defer late.Stop()
	if err := cmd.Wait(); err != nil {
		t.Fatalf("%s %v: %v\n%s", name, args, err, said)
	}
	return said.String()
}
