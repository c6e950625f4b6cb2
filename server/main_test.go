package server

import (
	"fmt"
	"log/slog"
	"net"
	"os"
	"runtime"
	"sort"
	"strings"
	"testing"
	"time"
)

// child is the environment variable by which the test binary, run again by a
// test under other limits, learns what to be.
const child = "WSD_SERVER_TEST_CHILD"

func TestMain(m *testing.M) {
	if what := os.Getenv(child); what != "" {
		os.Exit(runChild(what))
	}
	slog.SetDefault(slog.New(slog.DiscardHandler))
	statsTimeout = patience // numbers of before are for the test of them
	warmUp()
	os.Exit(m.Run())
}

// warmUp has the runtime open the descriptors it keeps, so that they do not
// count as a test's.
func warmUp() {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	c, err := net.Dial("tcp", ln.Addr().String())
	if err == nil {
		c.Close()
	}
	ln.Close()
}

// patience is how long a test waits for what has to happen. It only ends the
// tests that fail.
const patience = time.Minute

// eventually waits until ok reports true. what is called when it never does.
func eventually(t testing.TB, what func() string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("did not happen: %s", what())
		}
	}
}

func says(text string) func() string { return func() string { return text } }

// resources are what a process must not lose: descriptors, by what they are,
// and goroutines.
type resources struct {
	fds        map[string]int
	goroutines int
}

func (r resources) descriptors() (n int) {
	for _, k := range r.fds {
		n += k
	}
	return n
}

func inUse() resources {
	r := resources{fds: map[string]int{}, goroutines: runtime.NumGoroutine()}
	dir, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		panic(err)
	}
	for _, e := range dir {
		if to, err := os.Readlink("/proc/self/fd/" + e.Name()); err == nil { // not the one that reads
			kind, _, _ := strings.Cut(to, ":[")
			r.fds[kind]++
		}
	}
	return r
}

// checkNoMore fails the test if, in the end, more is in use than before.
func checkNoMore(t testing.TB, before resources) {
	t.Helper()
	var now resources
	for end := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		now = inUse()
		if now.goroutines <= before.goroutines && now.descriptors() <= before.descriptors() {
			return
		}
		if time.Now().After(end) {
			break
		}
	}
	var lines []string
	for kind, n := range now.fds {
		if n > before.fds[kind] {
			lines = append(lines, fmt.Sprintf("%d more of %s", n-before.fds[kind], kind))
		}
	}
	sort.Strings(lines)
	stacks := make([]byte, 1<<20)
	stacks = stacks[:runtime.Stack(stacks, true)]
	t.Errorf("left behind: %d goroutines, descriptors: %s", now.goroutines-before.goroutines, strings.Join(lines, ", "))
	if now.goroutines > before.goroutines {
		t.Logf("%s", stacks)
	}
}
