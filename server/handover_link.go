package server

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"wsd/netpoll"
)

// What the two processes say to each other, message by message:
//
//	new                         old
//	hello: formats, version ─►
//	                        ◄─  welcome, with the listeners: the formats fit
//	prepared: ready to read ─►                                    old stops new requests, freezes
//	                        ◄─  state, state, …, with the clients' descriptors
//	ready: all is in place  ─►
//	                        ◄─  commit: from here on it is yours
//	running                 ─►                                    old leaves
//
// Either may say "refused", with a reason, instead: then all stays as it was.
// The layout of hello and refused is the same in all versions, for ever.

// kinds of messages.
const (
	sayHello = 1 + iota
	sayWelcome
	sayRefused
	sayPrepared
	sayState
	sayReady
	sayCommit
	sayRunning
)

var sayNames = [...]string{sayHello: "hello", sayWelcome: "welcome", sayRefused: "refused", sayPrepared: "prepared",
	sayState: "state", sayReady: "ready", sayCommit: "commit", sayRunning: "running"}

// Link is one end of the channel between two processes of which the newer takes
// over what the older one has. It is for one goroutine.
type Link struct {
	end *netpoll.Link
	buf []byte
}

// linkMessage is how long a message may be: small enough that several fit into
// a socket's buffer, large enough that their number does not matter.
const linkMessage = 48 << 10

// NewLink makes the channel: our end, and the one to be given to the process
// that is to take over. The caller closes both.
func NewLink() (*Link, *os.File, error) {
	end, theirs, err := netpoll.NewLink()
	if err != nil {
		return nil, nil, err
	}
	return &Link{end: end, buf: make([]byte, linkMessage)}, theirs, nil
}

// OpenLink makes a Link of the end that the older process passed on; f is its
// own from here on.
func OpenLink(f *os.File) (*Link, error) {
	end, err := netpoll.OpenLink(f)
	if err != nil {
		return nil, err
	}
	return &Link{end: end, buf: make([]byte, linkMessage)}, nil
}

// Close closes our end.
func (k *Link) Close() error { return k.end.Close() }

// AwaitClose waits until the other end is closed, at most for d.
func (k *Link) AwaitClose(d time.Duration) {
	k.patience(d)
	for {
		_, _, fds, err := k.hear()
		closeAll(fds)
		if err != nil {
			return
		}
	}
}

func (k *Link) patience(d time.Duration) { _ = k.end.SetDeadline(time.Now().Add(d)) }

func (k *Link) say(what byte, body []byte, fds []int) error {
	if err := k.end.Send(append([]byte{what}, body...), fds); err != nil {
		return fmt.Errorf("saying %s: %w", sayNames[what], err)
	}
	return nil
}

// errRefused is what the other end says instead of what was expected.
var errRefused = errors.New("refused by the other process")

// hear receives the next message. The body is good until the next hear.
func (k *Link) hear() (what byte, body []byte, fds []int, err error) {
	n, fds, err := k.end.Receive(k.buf)
	if err != nil {
		return 0, nil, nil, err
	}
	what, body = k.buf[0], k.buf[1:n]
	if what == sayRefused {
		closeAll(fds)
		return what, nil, nil, fmt.Errorf("%w: %s", errRefused, body)
	}
	return what, body, fds, nil
}

// expect receives a message, which has to be of one kind and, but for a
// welcome, carries no descriptors.
func (k *Link) expect(want byte) (body []byte, fds []int, err error) {
	what, body, fds, err := k.hear()
	switch {
	case err != nil:
		if errors.Is(err, io.EOF) {
			err = errors.New("the other process is gone")
		}
		return nil, nil, fmt.Errorf("waiting for %s: %w", sayNames[want], err)
	case what != want || want != sayWelcome && len(fds) > 0:
		closeAll(fds)
		return nil, nil, fmt.Errorf("waiting for %s: there came something else (%d)", sayNames[want], what)
	}
	return body, fds, nil
}

func closeAll(fds []int) {
	for _, fd := range fds {
		_ = netpoll.Close(fd)
	}
}

// hello is what a new process says of itself.
type hello struct {
	oldest, newest uint64 // state formats it reads
	version        string
}

func (h *hello) append(b []byte) []byte {
	b = append(b, "wsd handover"...)
	b = binary.AppendUvarint(binary.AppendUvarint(b, h.oldest), h.newest)
	return appendBytes(b, h.version)
}

func readHello(b []byte) (h hello, err error) {
	in := reader{b: b}
	magic := string(in.take(uint64(len("wsd handover"))))
	h = hello{in.uvarint(), in.uvarint(), string(in.bytes())}
	if !in.end() || magic != "wsd handover" {
		return h, errors.New("that is no wsd")
	}
	return h, nil
}

// heirloom is a descriptor that is not a client's: a listener, by what it was
// configured as, or a file of the program's own, by its name.
type heirloom struct {
	name     string
	listener bool
	path     bool           // its file goes along, and
	file     netpoll.FileID // is this one; an older process does not tell
	fd       int
}

func appendHeirlooms(b []byte, list []heirloom) []byte {
	b = binary.AppendUvarint(b, uint64(len(list)))
	for _, h := range list {
		known := h.file != netpoll.FileID{}
		b = append(b, bit(h.listener, 1)|bit(h.path || known, 2)|bit(known, 4))
		if b = appendBytes(b, h.name); known {
			b = le.AppendUint64(le.AppendUint64(b, h.file.Dev), h.file.Ino)
		}
	}
	return b
}

func bit(on bool, b byte) byte {
	if on {
		return b
	}
	return 0
}

// readHeirlooms joins the list with the descriptors that came with it.
func readHeirlooms(b []byte, fds []int) (list []heirloom, err error) {
	in := reader{b: b}
	n := in.count()
	if n != len(fds) {
		return nil, garbled("as many descriptors as names")
	}
	for i := range n {
		bits := in.u8()
		h := heirloom{name: string(in.bytes()), listener: bits&1 != 0, path: bits&2 != 0, fd: fds[i]}
		if bits&4 != 0 {
			h.file = netpoll.FileID{Dev: in.u64(), Ino: in.u64()}
		}
		list = append(list, h)
	}
	if !in.end() {
		return nil, garbled("list of listeners")
	}
	return list, nil
}
