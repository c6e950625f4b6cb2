package netpoll

import (
	"net/netip"
	"os"

	"golang.org/x/sys/unix"
)

func setOptions(fd, family int, sa unix.Sockaddr, o Options) error {
	type opt struct {
		level, name, value int
		set                bool
	}
	v6only := 1
	if sa6, ok := sa.(*unix.SockaddrInet6); ok && sa6.Addr == [16]byte{} {
		v6only = 0 // ":port" takes IPv4 as well
	}
	for _, s := range []opt{
		{unix.SOL_SOCKET, unix.SO_REUSEADDR, 1, true},
		{unix.SOL_SOCKET, unix.SO_REUSEPORT, 1, o.ReusePort},
		{unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, v6only, family == unix.AF_INET6},
		{unix.IPPROTO_TCP, unix.TCP_NODELAY, 1, true},
		{unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(o.UserTimeout.Milliseconds()), o.UserTimeout > 0},
		{unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, o.NotsentLowat, o.NotsentLowat > 0},
	} {
		if !s.set {
			continue
		}
		if err := after("setsockopt", unix.SetsockoptInt(fd, s.level, s.name, s.value)); err != nil {
			return os.NewSyscallError("setsockopt", err)
		}
	}
	return nil
}

// Adopt makes a socket of foreign origin (a hijacked HTTP connection, one that
// another process sent) like an accepted one. A unix socket takes what fits it.
func Adopt(fd int, o Options) error {
	unix.CloseOnExec(fd)
	if err := unix.SetNonblock(fd, true); err != nil {
		return os.NewSyscallError("fcntl", err)
	}
	if domain, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DOMAIN); err != nil || domain == unix.AF_UNIX {
		return os.NewSyscallError("getsockopt", err)
	}
	// net/http's listener turned keepalive probes on. The protocol above has
	// heartbeats, and a million idle connections would cost tens of thousands of
	// probes a second.
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_KEEPALIVE, 0)
	return setOptions(fd, unix.AF_INET, nil, o)
}

// Dup returns a second descriptor of the same socket, close-on-exec.
func Dup(fd int) (int, error) {
	n, err := opened(unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 3))
	if err != nil {
		return -1, os.NewSyscallError("fcntl", err)
	}
	return n, nil
}

// Writev sends the pieces in order as one and returns how many bytes the
// kernel took; the bounds are Write's. At most 1024 pieces.
func Writev(fd int, pieces [][]byte) (int, error) {
	for {
		some, err := faultyPieces(fd, pieces)
		var n int
		if err == nil {
			n, err = unix.SendmsgBuffers(fd, some, nil, nil, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
		}
		switch err {
		case nil:
			return n, nil
		case unix.EINTR:
		default:
			return 0, err
		}
	}
}

// CloseWrite ends our side of the stream (FIN); the other side can still be read.
func CloseWrite(fd int) error {
	return os.NewSyscallError("shutdown", after("shutdown", unix.Shutdown(fd, unix.SHUT_WR)))
}

// Close closes a descriptor. Whatever the peer sent and nobody read makes the
// kernel send a reset instead of an orderly end.
func Close(fd int) error {
	closing(fd)
	return after("close", unix.Close(fd))
}

// Abort closes a descriptor with a reset, whatever is still to be sent.
func Abort(fd int) error {
	unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
	return Close(fd)
}

// Dial starts a connection from local (an unset address or port 0 lets the
// kernel choose; it chooses the port at connect time, so that all ports can be
// used once per destination) to remote. done is false while it is under way:
// the descriptor becomes writable when it is decided, and SocketError tells how.
func Dial(local netip.AddrPort, remote netip.AddrPort) (fd int, done bool, err error) {
	family := unix.AF_INET
	if remote.Addr().Is6() {
		family = unix.AF_INET6
	}
	fd, err = opened(unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0))
	if err != nil {
		return -1, false, os.NewSyscallError("socket", err)
	}
	if err = start(fd, local, remote); err == nil {
		return fd, true, nil
	}
	if err == unix.EINPROGRESS {
		return fd, false, nil
	}
	unix.Close(fd)
	return -1, false, os.NewSyscallError("connect", err)
}

func start(fd int, local, remote netip.AddrPort) error {
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1); err != nil {
		return err
	}
	if local.Addr().IsValid() {
		if local.Port() == 0 {
			if err := unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1); err != nil {
				return err
			}
		}
		if err := unix.Bind(fd, sockaddr(local)); err != nil {
			return err
		}
	}
	for {
		if err := unix.Connect(fd, sockaddr(remote)); err != unix.EINTR {
			return err
		}
	}
}

// SocketError takes the pending error of a socket, nil if there is none.
func SocketError(fd int) error {
	n, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR)
	if err != nil {
		return os.NewSyscallError("getsockopt", err)
	}
	if n != 0 {
		return unix.Errno(n)
	}
	return nil
}

// SetReceiveBuffer bounds the kernel's receive buffer of fd (the kernel doubles n).
func SetReceiveBuffer(fd, n int) error {
	return os.NewSyscallError("setsockopt", unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, n))
}

func sockaddr(a netip.AddrPort) unix.Sockaddr {
	if a.Addr().Is4() {
		return &unix.SockaddrInet4{Port: int(a.Port()), Addr: a.Addr().As4()}
	}
	return &unix.SockaddrInet6{Port: int(a.Port()), Addr: a.Addr().As16(), ZoneId: zone(a.Addr().Zone())}
}
