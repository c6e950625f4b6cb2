package server

import (
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestReusePort: two servers share a port if both say so, and all who come are
// with one of them.
func TestReusePort(t *testing.T) {
	first := start(t, Config{ReusePort: true})
	addr := first.Addrs()[0]
	if s, err := New(Config{Listen: []string{addr}}); err == nil {
		s.Stop(t.Context(), false)
		t.Fatal("a server that does not ask for it shares the port")
	}
	second := start(t, Config{ReusePort: true, Listen: []string{addr}})
	const clients = 64
	for range clients {
		first.dial().alive()
	}
	a, b := first.Stats().Clients.Open, second.Stats().Clients.Open
	if a+b != clients || a == 0 || b == 0 {
		t.Errorf("%d and %d clients, of %d", a, b, clients)
	}
}

// TestUnixSocket: served like any other; it has no address and no share, and
// its file goes with the server.
func TestUnixSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	s := start(t, Config{Listen: []string{"127.0.0.1:0", "unix:" + path}, MaxPerAddress: 1, MaxClients: 6})
	if got := s.Addrs()[1]; got != "unix:"+path {
		t.Errorf("listens on %q", got)
	}
	for range 5 {
		p := connectTo(t, "unix:"+path)
		p.shake("/ws")
		p.alive()
		p.goodbye()
		p.closedWith(1000)
	}
	s.until("they left", func(st Stats) bool { return st.Clients.Connected == 0 })
	var held []*peer
	for range 5 { // more than one address may have
		p := connectTo(t, "unix:"+path)
		p.shake("/ws")
		held = append(held, p)
	}
	tcp := s.dial()
	if list, _, err := s.Clients(t.Context(), "", 100); err != nil {
		t.Error(err)
	} else {
		for _, c := range list {
			if c.Address != "" && c.Address != tcp.LocalAddr().String() {
				t.Errorf("a client from %q", c.Address)
			}
		}
	}
	s.tooMany(connectTo(t, "unix:"+path))
	tcp.alive()
	s.sent(All(), "x", 6)
	for _, p := range held {
		p.expect("x")
		p.reset()
	}
	s.until("they left", func(st Stats) bool { return st.Clients.Connected == 1 })
	tcp.Close()
	s.stop()
	if _, err := os.Stat(path); !os.IsNotExist(err) {
		t.Errorf("the socket's file: %v", err)
	}
}

// TestStaleSocketFile: a file that a dead server left does not matter, another
// one does.
func TestStaleSocketFile(t *testing.T) {
	dir := t.TempDir()
	stale := filepath.Join(dir, "stale")
	ln, err := net.Listen("unix", stale)
	if err != nil {
		t.Fatal(err)
	}
	ln.(*net.UnixListener).SetUnlinkOnClose(false)
	ln.Close()
	s := start(t, Config{Listen: []string{"unix:" + stale}})
	s.dial().alive()
	if _, err := New(Config{Listen: []string{"unix:" + stale}}); err == nil {
		t.Error("two servers on one socket")
	}
	s.dial().alive()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("precious"), fs.ModePerm); err != nil {
		t.Fatal(err)
	}
	if _, err := New(Config{Listen: []string{"unix:" + file}}); err == nil {
		t.Error("a server in place of a file")
	}
	if b, err := os.ReadFile(file); err != nil || string(b) != "precious" {
		t.Errorf("the file: %q %v", b, err)
	}
}

// TestIPv6: one socket for both, and addresses are counted by /64.
func TestIPv6(t *testing.T) {
	s := start(t, Config{Listen: []string{"[::1]:0", ":0"}, MaxPerAddress: 2})
	six := s.Addrs()[0]
	if !strings.HasPrefix(six, "[::1]:") {
		t.Fatalf("listens on %q", six)
	}
	_, port, _ := net.SplitHostPort(s.Addrs()[1])
	for _, addr := range []string{six, "[::1]:" + port} { // two of ::1
		p := connectTo(t, addr)
		p.shake("/ws")
		p.alive()
	}
	for range 2 { // and two of 127.0.0.1, by way of the same socket
		p := connectTo(t, "127.0.0.1:"+port)
		p.shake("/ws")
		p.alive()
	}
	s.tooMany(connectTo(t, six))
	s.tooMany(connectTo(t, "127.0.0.1:"+port))
}

// TestShares: the table against a plain count.
func TestShares(t *testing.T) {
	var s shares
	ap := func(a string) netip.AddrPort { return netip.AddrPortFrom(netip.MustParseAddr(a), 1) }
	enter := func(a string, want bool) {
		t.Helper()
		if got := s.enter(ap(a), 2); got != want {
			t.Errorf("%s may enter: %v", a, got)
		}
	}
	enter("10.0.0.1", true)
	enter("::ffff:10.0.0.1", true) // the same
	enter("10.0.0.1", false)
	enter("10.0.0.2", true)
	enter("2001:db8:0:1::1", true)
	enter("2001:db8:0:1:ffff::2", true) // the same /64
	enter("2001:db8:0:1::3", false)
	enter("2001:db8:0:2::1", true)
	s.leave(ap("2001:db8:0:1::9").Addr().As16())
	enter("2001:db8:0:1::3", true)
	s.leave(ap("10.0.0.1").Addr().As16())
	enter("10.0.0.1", true)
	if !s.enter(netip.AddrPort{}, 2) || !s.enter(ap("10.0.0.1"), 0) {
		t.Error("a unix socket, or no limit, refuses")
	}
	for _, a := range []string{"10.0.0.1", "10.0.0.1", "10.0.0.2", "2001:db8:0:1::", "2001:db8:0:1::", "2001:db8:0:2::"} {
		s.leave(ap(a).Addr().As16())
	}
	if len(s.counts) != 0 {
		t.Errorf("left over: %v", s.counts)
	}
}
