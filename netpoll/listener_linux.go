package netpoll

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Listener is a raw listening socket. It is for one goroutine at a time.
type Listener struct {
	fd   int
	addr string
	path string              // of a unix socket
	file FileID              // at path, to be removed on Close
	sa   unix.RawSockaddrAny // where accept4 leaves the peer's address
}

// Listen opens a listening socket on "host:port", ":port" (IPv6 and IPv4 on
// one socket; IPv4 alone where the host has no IPv6) or "unix:/path". A host
// name is resolved once. A stale unix socket that nobody listens on is replaced.
func Listen(addr string, o Options) (*Listener, error) {
	sa, path, err := resolve(addr)
	if err != nil {
		return nil, fmt.Errorf("listen on %q: %w", addr, err)
	}
	l, err := listen(sa, path, o)
	if errors.Is(err, unix.EAFNOSUPPORT) && strings.HasPrefix(addr, ":") {
		sa4 := &unix.SockaddrInet4{Port: sa.(*unix.SockaddrInet6).Port}
		l, err = listen(sa4, "", o)
	}
	if err != nil {
		return nil, fmt.Errorf("listen on %q: %w", addr, err)
	}
	return l, nil
}

func resolve(addr string) (sa unix.Sockaddr, path string, err error) {
	host, n, path, err := parseAddress(addr)
	if err != nil {
		return nil, "", err
	}
	if path != "" {
		return &unix.SockaddrUnix{Name: path}, path, removeStale(path)
	}
	if host == "" {
		return &unix.SockaddrInet6{Port: int(n)}, "", nil
	}
	ip, err := net.ResolveIPAddr("ip", host)
	if err != nil {
		return nil, "", err
	}
	a, _ := netip.AddrFromSlice(ip.IP)
	return sockaddr(netip.AddrPortFrom(a.Unmap().WithZone(ip.Zone), uint16(n))), "", nil
}

// removeStale removes a socket file that refuses connections: its server is
// gone without having cleaned up. Anything else at path is left alone.
func removeStale(path string) error {
	st, err := os.Lstat(path)
	if err != nil || st.Mode()&os.ModeSocket == 0 {
		return nil // bind tells what is wrong, if anything is
	}
	c, err := net.DialTimeout("unix", path, time.Second)
	if err == nil {
		c.Close()
		return errors.New("another process listens there")
	}
	if errors.Is(err, unix.ECONNREFUSED) {
		return os.Remove(path)
	}
	return nil
}

func listen(sa unix.Sockaddr, path string, o Options) (*Listener, error) {
	family := unix.AF_INET6
	switch sa.(type) {
	case *unix.SockaddrInet4:
		family = unix.AF_INET
	case *unix.SockaddrUnix:
		family = unix.AF_UNIX
	}
	fd, err := opened(unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0))
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	l := &Listener{fd: fd, path: path}
	if err := l.open(family, sa, o); err != nil {
		unix.Close(fd)
		return nil, err
	}
	return l, nil
}

// acceptQueue is the accept queue that is asked for: as much as the kernel
// allows, which silently cuts it to net.core.somaxconn.
const acceptQueue = 65535

func (l *Listener) open(family int, sa unix.Sockaddr, o Options) error {
	if family != unix.AF_UNIX {
		if err := setOptions(l.fd, family, sa, o); err != nil {
			return err
		}
	}
	if err := after("bind", unix.Bind(l.fd, sa)); err != nil {
		return os.NewSyscallError("bind", err)
	}
	l.file = fileAt(l.path)
	if err := after("listen", unix.Listen(l.fd, acceptQueue)); err != nil {
		return os.NewSyscallError("listen", err)
	}
	return l.learnAddr()
}

// Inherit makes a Listener of a descriptor that already listens: one that
// systemd or an older wsd process handed over.
func Inherit(fd int) (*Listener, error) {
	if on, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN); err != nil || on == 0 {
		return nil, fmt.Errorf("descriptor %d is not a listening socket", fd)
	}
	unix.CloseOnExec(fd)
	if err := unix.SetNonblock(fd, true); err != nil {
		return nil, os.NewSyscallError("fcntl", err)
	}
	l := &Listener{fd: fd}
	return l, l.learnAddr()
}

func (l *Listener) learnAddr() error {
	sa, err := unix.Getsockname(l.fd)
	if err != nil {
		return os.NewSyscallError("getsockname", err)
	}
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		l.addr = netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port)).String()
	case *unix.SockaddrInet6:
		l.addr = netip.AddrPortFrom(netip.AddrFrom16(sa.Addr), uint16(sa.Port)).String()
	case *unix.SockaddrUnix:
		l.addr = "unix:" + sa.Name
	}
	return nil
}

// Fd is the listening descriptor, to be registered with a Poller.
func (l *Listener) Fd() int { return l.fd }

// Addr is the bound address, with the port the kernel chose if it was 0.
func (l *Listener) Addr() string { return l.addr }

// Accept takes one connection off the queue: non-blocking, close-on-exec, with
// the listener's options. The peer is the zero AddrPort on a unix socket, and
// an IPv4 peer of an IPv6 socket comes as IPv4. [EAGAIN] means the queue is
// empty. It allocates nothing.
func (l *Listener) Accept() (fd int, peer netip.AddrPort, err error) {
	l.sa.Addr.Family = unix.AF_UNSPEC
	fd, err = accept4(l.fd, &l.sa)
	if err != nil {
		return -1, peer, err
	}
	return fd, l.peer().addrPort(), nil
}

// Close stops listening; connections still in the queue are reset by the kernel.
// The file of a unix socket is removed, unless another one is in its place.
func (l *Listener) Close() error {
	l.removeFile()
	return os.NewSyscallError("close", unix.Close(l.fd))
}

// rawAddr is a peer's address as the kernel writes it: port in network order.
type rawAddr struct {
	v4     [4]byte
	v6     [16]byte
	port   uint16
	family uint16
}

func (r rawAddr) addrPort() netip.AddrPort {
	port := r.port<<8 | r.port>>8
	switch r.family {
	case unix.AF_INET:
		return netip.AddrPortFrom(netip.AddrFrom4(r.v4), port)
	case unix.AF_INET6:
		return netip.AddrPortFrom(netip.AddrFrom16(r.v6).Unmap(), port)
	}
	return netip.AddrPort{}
}
