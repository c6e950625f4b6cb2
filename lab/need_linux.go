package lab

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
)

// Env is the variable that says what to expect of the lab. If it is empty, tests
// are skipped where the lab cannot be. With "require" they fail instead. "long"
// is "require", and the tests take their long form.
const Env = "WSD_LAB"

// Long reports whether the tests take their long form.
func Long() bool { return os.Getenv(Env) == "long" }

// need ends the test if the lab cannot be made here.
func need(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		Lack(t, "the lab needs root")
	}
	for _, command := range []string{"ip", "tc", "nft", "nsenter"} {
		if _, err := exec.LookPath(command); err != nil {
			Lack(t, "the lab needs the command "+command+" (packages iproute2, nftables, util-linux)")
		}
	}
}

// Lack skips a test that cannot have what it needs of the machine, or fails it if Env
// says that it has to have it.
func Lack(t testing.TB, reason string) {
	t.Helper()
	if want := os.Getenv(Env); want == "require" || want == "long" {
		t.Fatalf("%s, and %s=%s", reason, Env, want)
	}
	Skip(t, reason)
}

// skipped are the tests that were skipped, each with its reason.
var skipped struct {
	mu    sync.Mutex
	tests []string
}

// Skip skips the test for what the machine or its kernel lacks. WriteSkipped lists
// it.
func Skip(t testing.TB, reason string) {
	t.Helper()
	skipped.mu.Lock()
	skipped.tests = append(skipped.tests, t.Name()+": "+reason)
	skipped.mu.Unlock()
	t.Skip(reason)
}

// WriteSkipped writes which tests were skipped and why, a line each. Call it at
// the end of TestMain, so that nobody takes a skipped test for one that passed.
func WriteSkipped(w io.Writer) {
	skipped.mu.Lock()
	defer skipped.mu.Unlock()
	slices.Sort(skipped.tests)
	for _, line := range skipped.tests {
		fmt.Fprintln(w, "SKIPPED", line)
	}
}

// run runs a command and returns what it wrote. input is its standard input.
func run(input string, args ...string) (string, error) {
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Stdin = strings.NewReader(input)
	out, err := cmd.CombinedOutput()
	if err != nil {
		err = fmt.Errorf("%s: %w: %s%s", cmd, err, out, input)
	}
	return string(out), err
}
