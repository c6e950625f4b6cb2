package netpoll

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// MostRights is how many descriptors one message of a Link may carry; the
// kernel's own limit is 253 (SCM_MAX_FD).
const MostRights = 250

// Link is one end of a pair of sockets between two processes. It carries
// messages, each whole or not at all, and descriptors along with them
// (SCM_RIGHTS). One goroutine may send while another receives.
type Link struct {
	c   *net.UnixConn
	oob []byte // of Receive
}

// NewLink makes a pair: our end, and the other as a file, to be given to the
// process that is started with it. The caller closes both.
func NewLink() (ours *Link, theirs *os.File, err error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, nil, os.NewSyscallError("socketpair", err)
	}
	theirs = os.NewFile(uintptr(pair[1]), "link")
	if ours, err = OpenLink(os.NewFile(uintptr(pair[0]), "link")); err != nil {
		theirs.Close()
		return nil, nil, err
	}
	return ours, theirs, nil
}

// OpenLink makes a Link of an end that another process passed on. It takes f
// over, whatever becomes of it.
func OpenLink(f *os.File) (*Link, error) {
	defer f.Close() // FileConn makes a copy
	c, err := net.FileConn(f)
	if err != nil {
		return nil, err
	}
	u, ok := c.(*net.UnixConn)
	if !ok {
		c.Close()
		return nil, errors.New("not a unix socket")
	}
	return &Link{c: u, oob: make([]byte, unix.CmsgSpace(4*253))}, nil
}

// Send sends one message, of 1 to some 100,000 bytes, with descriptors, at most
// MostRights, which stay the caller's: the other end gets copies of its own. It
// waits while the other end is behind, up to the deadline.
func (l *Link) Send(p []byte, fds []int) error {
	var oob []byte
	if len(fds) > 0 {
		oob = unix.UnixRights(fds...)
	}
	for pause := time.Millisecond; ; pause *= 2 {
		_, _, err := l.c.WriteMsgUnix(p, oob, nil)
		// A user may have only so many descriptors on their way, in all the
		// sockets there are: as many as RLIMIT_NOFILE.
		if !errors.Is(err, unix.ETOOMANYREFS) || pause > time.Second {
			return err
		}
		time.Sleep(pause)
	}
}

// Receive takes the next message into p and returns its length, and the
// descriptors that came with it, which are the caller's, close-on-exec.
// io.EOF: the other end is closed, and all that it sent has been received.
func (l *Link) Receive(p []byte) (n int, fds []int, err error) {
	n, oobn, flags, _, err := l.c.ReadMsgUnix(p, l.oob)
	if errors.Is(err, unix.ECONNRESET) {
		// The other end was closed with messages of ours unread, which is told
		// once, and before what it had sent.
		n, oobn, flags, _, err = l.c.ReadMsgUnix(p, l.oob)
	}
	if err != nil {
		return 0, nil, err
	}
	fds, err = rights(l.oob[:oobn])
	switch {
	case err != nil:
	case flags&unix.MSG_CTRUNC != 0:
		err = errors.New("descriptors were lost on their way: the limit (ulimit -n) is too low")
	case flags&unix.MSG_TRUNC != 0:
		err = fmt.Errorf("a message is longer than %d bytes", len(p))
	case n == 0:
		err = io.EOF
	}
	if err != nil {
		for _, fd := range fds {
			unix.Close(fd)
		}
		return 0, nil, err
	}
	return n, fds, nil
}

func rights(oob []byte) (fds []int, err error) {
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return nil, err
	}
	for i := range messages {
		some, err := unix.ParseUnixRights(&messages[i])
		if err != nil {
			return fds, err
		}
		fds = append(fds, some...)
	}
	return fds, nil
}

// SetDeadline bounds Send and Receive; the zero time takes the bound away.
func (l *Link) SetDeadline(t time.Time) error { return l.c.SetDeadline(t) }

// Close closes this end; the other one then receives io.EOF.
func (l *Link) Close() error { return l.c.Close() }

// InheritPath is Inherit for a unix socket whose file goes with it: Close removes
// it. A process that does not know which that is gives none: then it is the one
// at the socket's path.
func InheritPath(fd int, file FileID) (*Listener, error) {
	l, err := Inherit(fd)
	if err != nil {
		return nil, err
	}
	l.path, _ = strings.CutPrefix(l.addr, "unix:")
	if l.path == l.addr {
		l.path = ""
	}
	if l.file = file; file == (FileID{}) {
		l.file = fileAt(l.path)
	}
	return l, nil
}

// Leave closes this process's copy of a listener that goes on in another one:
// its queue and its file stay.
func (l *Listener) Leave() error { return os.NewSyscallError("close", unix.Close(l.fd)) }
