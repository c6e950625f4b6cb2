package server

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"wsd/handoff"
	"wsd/netpoll"
)

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
	k.setTimeout(d)
	for {
		_, _, fds, err := k.hear()
		closeAll(fds)
		if err != nil {
			return
		}
	}
}

func (k *Link) setTimeout(d time.Duration) { _ = k.end.SetDeadline(time.Now().Add(d)) }

func (k *Link) say(what handoff.Message, body []byte, fds []int) error {
	if err := k.end.Send(append([]byte{byte(what)}, body...), fds); err != nil {
		return fmt.Errorf("saying %s: %w", what, err)
	}
	return nil
}

// errRefused is what the other end says instead of what was expected.
var errRefused = errors.New("refused by the other process")

// hear receives the next message. The body is good until the next hear.
func (k *Link) hear() (what handoff.Message, body []byte, fds []int, err error) {
	n, fds, err := k.end.Receive(k.buf)
	if err != nil {
		return 0, nil, nil, err
	}
	what, body = handoff.Message(k.buf[0]), k.buf[1:n]
	if what == handoff.MessageRefused {
		closeAll(fds)
		return what, nil, nil, fmt.Errorf("%w: %s", errRefused, body)
	}
	return what, body, fds, nil
}

// expect receives a message, which has to be of one kind and, but for a
// welcome, carries no descriptors.
func (k *Link) expect(want handoff.Message) (body []byte, fds []int, err error) {
	what, body, fds, err := k.hear()
	switch {
	case err != nil:
		if errors.Is(err, io.EOF) {
			err = errors.New("the other process is gone")
		}
		return nil, nil, fmt.Errorf("waiting for %s: %w", want, err)
	case what != want || want != handoff.MessageWelcome && len(fds) > 0:
		closeAll(fds)
		return nil, nil, fmt.Errorf("waiting for %s: there came something else (%s)", want, what)
	}
	return body, fds, nil
}

func closeAll(fds []int) {
	for _, fd := range fds {
		_ = netpoll.Close(fd)
	}
}

// passedFile is a descriptor that is not a client's.
type passedFile struct {
	handoff.PassedFile
	fd int
}

func (k *Link) sayWelcome(list []passedFile) error {
	files := make([]handoff.PassedFile, len(list))
	fds := make([]int, len(list))
	for i := range list {
		files[i], fds[i] = list[i].PassedFile, list[i].fd
	}
	if len(fds) > netpoll.MostRights {
		return fmt.Errorf("%d listeners are too many to hand over", len(fds))
	}
	return k.say(handoff.MessageWelcome, handoff.AppendFiles(nil, files), fds)
}

// readWelcome joins the list with the descriptors that came with it.
func readWelcome(b []byte, fds []int) (list []passedFile, err error) {
	files, err := handoff.ReadFiles(b)
	if err == nil && len(files) != len(fds) {
		err = garbled("as many descriptors as names")
	}
	if err != nil {
		return nil, err
	}
	for i := range files {
		list = append(list, passedFile{files[i], fds[i]})
	}
	return list, nil
}

func garbled(what string) error { return fmt.Errorf("%w: %s", handoff.ErrGarbled, what) }
