//go:build linux && !race

package netpoll

import "testing"

// One heartbeat's worth of system calls costs the collector nothing.
func TestNoAllocation(t *testing.T) {
	p := newPoller(t)
	a, b := pair(t)
	defer Close(a)
	defer Close(b)
	if err := p.Add(a, MakeToken(1, 1), Edge); err != nil {
		t.Fatal(err)
	}
	events, buf, msg := make([]Event, 8), make([]byte, 64), []byte("beat")
	n := testing.AllocsPerRun(200, func() {
		if _, err := Write(b, msg); err != nil {
			t.Fatal(err)
		}
		if n, _, err := p.Park(events); n != 1 || err != nil {
			t.Fatal(n, err)
		}
		if n, err := Read(a, buf); n != 4 || err != nil {
			t.Fatal(n, err)
		}
		if _, err := Read(a, buf); err != EAGAIN {
			t.Fatal(err)
		}
	})
	if n != 0 {
		t.Errorf("%v allocations per message", n)
	}
	l, err := Listen("127.0.0.1:0", Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if n := testing.AllocsPerRun(200, func() { l.Accept() }); n != 0 {
		t.Errorf("%v allocations per Accept", n)
	}
}
