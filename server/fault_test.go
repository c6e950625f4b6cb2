//go:build faults

package server

import (
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"wsd/netpoll"
)

// FuzzFaults: scripts that the fuzzer finds.
func FuzzFaults(f *testing.F) {
	for seed := range uint64(8) {
		f.Add(scriptOf(seed))
	}
	f.Add(session)
	f.Fuzz(func(t *testing.T, script []byte) {
		if len(script) > 1<<10 {
			t.Skip("long scripts find what short ones do")
		}
		perform(t, script)
	})
}

// scriptOf is the script of a seed. Half of them are any bytes. The others have few
// clients who do much, and more of some steps than of others: what takes several
// steps for one client is rare among any bytes.
func scriptOf(seed uint64) []byte {
	rnd := rand.New(rand.NewPCG(seed, 0))
	script := make([]byte, 16+rnd.IntN(500))
	for i := range script {
		script[i] = byte(rnd.Uint32())
	}
	if seed%2 == 0 {
		return script
	}
	few := 2 + rnd.IntN(3)
	s := []byte{script[0]}
	for range few {
		s = append(s, 0, 0, 0, 2, byte(len(s)/7+1), 4, 0) // connects, and subscribes
	}
	var often []byte
	for range 4 {
		often = append(often, byte(2+rnd.IntN(14)))
	}
	for len(s) < 600 {
		op := byte(2 + rnd.IntN(14))
		if rnd.IntN(4) > 0 {
			op = often[rnd.IntN(len(often))]
		}
		if op == 8 && rnd.IntN(8) > 0 { // few leave
			op = 6
		}
		s = append(s, op|byte(rnd.IntN(16))<<4, byte(rnd.IntN(4*(few+1))))
		for range faultArguments(op) {
			s = append(s, byte(rnd.Uint32()))
		}
	}
	return s
}

// faultArguments is how many bytes of a step follow its first two.
func faultArguments(op byte) int {
	switch op {
	case 2:
		return 2
	case 15:
		return 0
	case 9, 10, 11, 12, 13:
		return 3
	}
	return 1
}

// TestFaultSeeds: scripts from seeds, a fixed number of them, or random ones for
// FAULT_SECONDS; FAULT_SEED=N runs that one again, FAULT_SCRIPT=HEX a script.
func TestFaultSeeds(t *testing.T) {
	if text := os.Getenv("FAULT_SCRIPT"); text != "" {
		script, err := hex.DecodeString(text)
		if err != nil {
			t.Fatal(err)
		}
		perform(t, script)
		return
	}
	run := func(seed uint64) bool {
		defer func() {
			if t.Failed() {
				t.Logf("again with FAULT_SEED=%d", seed)
			}
		}()
		perform(t, scriptOf(seed))
		return !t.Failed()
	}
	defer func() {
		n := &faultTotals
		t.Logf("%d scripts, %d sessions, %d publishes, %d faults in %d system calls", n.scripts.Load(), n.sessions.Load(),
			n.publishes.Load(), n.faults.Load(), netpoll.Calls())
	}()
	if text := os.Getenv("FAULT_SEED"); text != "" {
		seed, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		run(seed)
		return
	}
	if text := os.Getenv("FAULT_SECONDS"); text != "" {
		seconds, err := strconv.Atoi(text)
		if err != nil {
			t.Fatal(err)
		}
		for end := time.Now().Add(time.Duration(seconds) * time.Second); time.Now().Before(end) && run(rand.Uint64()); {
		}
		return
	}
	for seed := range uint64(200) {
		if !run(seed) {
			return
		}
	}
}

// session is a script in which every call comes up: clients that ask, are sent to,
// take nothing for a while, and leave in each way.
var session = []byte{24,
	0, 0, 0, 0, 0, 0, 15, 5, // two clients
	2, 1, 4, 0, 2, 1, 0x5b, 200, 4, 1, 0, 5, 1, 150, // one subscribes, and asks in two parts for much
	6, 0, 40, 6, 1, 90, 5, 1, 0, // publishes to all and to its topic
	7, 1, 140, 2, 1, 0x5b, 0, 6, 0, 60, 6, 1, 10, 2, 1, 5, 0, 7, 1, 0, // it takes little, and then all
	2, 2, 7, 0, 2, 2, 0x36, 170, 4, 2, 0, // pooled, and in fragments
	0, 0, 0, 0, 0, 0, 0, 0, 0, 15, 5, // three more, to leave otherwise
	8, 2, 0, 8, 3, 1, 8, 4, 2, 8, 5, 3, 15, 0,
	0, 0, 0, 6, 0, 5, 2, 6, 2, 0, 15, 0, // and one who stays
}

// TestEveryCallFails: each call of a session in its turn, in each way in which it can.
func TestEveryCallFails(t *testing.T) {
	for _, name := range faultable {
		for _, errno := range netpoll.Possible[name] {
			for n, hit := 0, true; hit && !t.Failed() && n < 100; n++ {
				f := &armedFault{name: name, skip: n, count: 1, fault: netpoll.Fault{Errno: errno}}
				t.Run(fmt.Sprintf("%s %d %v", name, n, errno), func(t *testing.T) { perform(t, session, f) })
				hit = f.count == 0
			}
		}
	}
}

// TestEveryCallFailsAfterAccept: while the acceptor rests for want of descriptors,
// and when it begins again.
func TestEveryCallFailsAfterAccept(t *testing.T) {
	for _, accepted := range []int{0, 2} {
		for n, hit := 0, true; hit && !t.Failed() && n < 100; n++ {
			first := &armedFault{name: "accept4", skip: accepted, count: 1, fault: netpoll.Fault{Errno: syscall.EMFILE}}
			f := &armedFault{name: "epoll_ctl", skip: n, count: 1, fault: netpoll.Fault{Errno: syscall.ENOMEM}}
			t.Run(fmt.Sprintf("epoll_ctl %d behind accept4 %d", n, accepted), func(t *testing.T) { perform(t, session, first, f) })
			hit = f.count == 0
		}
	}
}

// TestEverySizeShort: all that is read and written is so short, for everybody.
func TestEverySizeShort(t *testing.T) {
	for size := 1; size <= 2048; size += 1 + size/16 {
		var all []*armedFault
		for _, name := range []string{"recvfrom", "sendto", "sendmsg"} {
			all = append(all, &armedFault{name: name, count: 1 << 30, fault: netpoll.Fault{Size: size}})
		}
		t.Run(fmt.Sprintf("%d bytes", size), func(t *testing.T) { perform(t, session, all...) })
	}
}

// TestEveryStartFails: whichever call fails that a server starts with, it
// says so, or goes on without, and nothing of it is left.
func TestEveryStartFails(t *testing.T) {
	defer netpoll.SetFaults(nil)
	for _, name := range []string{"open", "epoll_ctl", "setsockopt", "bind", "listen"} {
		for _, errno := range netpoll.Possible[name] {
			for n, hit := 0, true; hit && n < 100; n++ {
				hit = startFails(t, name, n, errno)
			}
		}
	}
}

// startFails starts a server whose call n of a name fails, if there are so many.
func startFails(t *testing.T, name string, n int, errno syscall.Errno) (hit bool) {
	before := inUse()
	left := int64(n)
	netpoll.SetFaults(func(c netpoll.Call) (f netpoll.Fault) {
		if c.Name == name && atomic.AddInt64(&left, -1) == -1 {
			f.Errno = errno
		}
		return f
	})
	s, err := New(Config{Listen: []string{"127.0.0.1:0", "unix:" + filepath.Join(t.TempDir(), "socket")}, Loops: 2, DrainTime: -1})
	if err == nil {
		err = s.Start()
		netpoll.SetFaults(nil)
		(&site{Server: s, t: t}).stop()
	}
	hit = atomic.LoadInt64(&left) < 0
	if err != nil && !errors.Is(err, errno) {
		t.Errorf("%s %d fails with %v, and the server with %v", name, n, errno, err)
	}
	if err == nil && hit && name != "setsockopt" {
		t.Errorf("%s %d fails with %v, and the server knows nothing of it", name, n, errno)
	}
	checkNoMore(t, before)
	return hit
}
