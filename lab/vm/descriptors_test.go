package vm

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const outOfDescriptors = "out of descriptors or memory: newcomers are refused, connected clients are not affected"

// TestENFILE: when the machine has no file left (fs.file-max), those who are there
// are served, newcomers are refused or wait, and the server neither spins nor
// floods its log. Once there are files again, newcomers are let in.
func TestENFILE(t *testing.T) {
	p := start(t, nil)
	well := join(t, p.listen, 50, 50*time.Millisecond)
	well.served("before")
	restore := set(t, "fs.file-max", itoa(firstNumber(t, "fs.file-nr")+20)) // ours cost nothing: root is exempt
	shortage(t, p, well, "too many open files in system")
	restore()
	welcome(t, p.listen)
	well.served("afterwards")
}

// TestEMFILE: the same when the process has none left. The server never lets it
// come so far, so its limit is lowered while it runs.
func TestEMFILE(t *testing.T) {
	if testing.Short() {
		t.Skip("ENFILE is enough")
	}
	p := start(t, nil)
	well := join(t, p.listen, 50, 50*time.Millisecond)
	well.served("before")
	open, err := os.ReadDir(filepath.Join("/proc", itoa(p.pid), "fd"))
	if err != nil {
		t.Fatal(err)
	}
	var old unix.Rlimit
	limit := unix.Rlimit{Cur: uint64(len(open) + 10), Max: 1 << 16}
	if err := unix.Prlimit(p.pid, unix.RLIMIT_NOFILE, &limit, &old); err != nil {
		t.Fatal(err)
	}
	shortage(t, p, well, "too many open files")
	limit.Cur = limit.Max
	if err := unix.Prlimit(p.pid, unix.RLIMIT_NOFILE, &limit, nil); err != nil {
		t.Fatal(err)
	}
	welcome(t, p.listen)
	well.served("afterwards")
}

// shortage has a hundred newcomers come when there are descriptors for some.
func shortage(t *testing.T, p *process, well *crowd, why string) {
	t.Helper()
	p.stats() // its connection is there before
	in, refused, timedOut := outcomes(p.listen, 100, 3*time.Second)
	defer closeAll(in)
	t.Logf("of 100 newcomers %d got in, %d were refused, %d waited", len(in), refused, timedOut)
	if len(in) > 40 || refused+timedOut < 60 {
		t.Errorf("there was no shortage")
	}
	until(t, "the log tells", func() bool { return p.said(outOfDescriptors) != nil })
	if got := p.said(outOfDescriptors)["error"]; got != why {
		t.Errorf("the log says %q, want %q", got, why)
	}
	well.served("without descriptors")
	before := p.stats()
	time.Sleep(3 * time.Second)
	after := p.stats()
	if n := after.AcceptErrors - before.AcceptErrors; n > 60 {
		t.Errorf("%d tries to accept in 3 s: it spins", n)
	}
	if n := strings.Count(p.log.String(), outOfDescriptors); n > 5 {
		t.Errorf("the log says it %d times", n)
	}
	if after.AcceptErrors == 0 || after.AcceptBackoffs == 0 {
		t.Errorf("accept errors %d, backoffs %d: want both counted", after.AcceptErrors, after.AcceptBackoffs)
	}
}

// TestENOSPC: when the kernel watches no more sockets (fs.epoll.max_user_watches),
// newcomers are closed at once, and those who are there are served.
func TestENOSPC(t *testing.T) {
	p := start(t, nil)
	well := join(t, p.listen, 50, 50*time.Millisecond)
	well.served("before")
	p.stats()
	restore := set(t, "fs.epoll.max_user_watches", "70") // the loops, the listeners and the runtime take some
	in, refused, timedOut := outcomes(p.listen, 100, 20*time.Second)
	t.Logf("of 100 newcomers %d got in, %d were refused, %d waited", len(in), refused, timedOut)
	if len(in) > 30 || refused < 70 || timedOut != 0 {
		t.Errorf("want all refused at once that the kernel does not watch")
	}
	if line := p.said("newcomers are refused: the kernel does not watch their sockets"); line == nil {
		t.Error("the log does not tell")
	} else if !strings.HasSuffix(line["error"].(string), "no space left on device") {
		t.Errorf("the log says %q", line["error"])
	}
	well.served("without watches")
	if s := p.stats(); s.AcceptErrors == 0 || s.Closed["internal"] == 0 {
		t.Errorf("accept errors %d, closed %v: want both counted", s.AcceptErrors, s.Closed)
	}
	closeAll(in)
	restore()
	welcome(t, p.listen)
	well.served("afterwards")
}
