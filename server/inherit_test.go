package server

import (
	"syscall"
	"testing"
	"time"

	"wsd/netpoll"
)

// A listening socket that is passed, as by systemd, gets the options that one
// of our own has, and with it its clients.
func TestInheritedListenerHasTheOptions(t *testing.T) {
	l, err := netpoll.Listen("127.0.0.1:0", netpoll.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	passed, err := netpoll.Dup(l.Fd())
	if err != nil {
		t.Fatal(err)
	}
	s := start(t, Config{Listen: []string{"none"}, Inherited: []int{passed}, UserTimeout: 7 * time.Second, NotsentLowat: 4242})
	if got, want := s.Addrs()[0], l.Addr(); got != want {
		t.Errorf("listens on %s, was passed %s", got, want)
	}
	const userTimeout, notsentLowat = 18, 25 // which package syscall does not have
	for name, want := range map[int]int{syscall.TCP_NODELAY: 1, userTimeout: 7000, notsentLowat: 4242} {
		if got, err := syscall.GetsockoptInt(passed, syscall.IPPROTO_TCP, name); err != nil || got != want {
			t.Errorf("TCP option %d is %d (%v), want %d", name, got, err, want)
		}
	}
}
