package server

import (
	"os"
	"slices"

	"wsd/handoff"
	"wsd/netpoll"
)

// Inheritance is what an older process hands over.
type Inheritance struct {
	link      *Link
	fault     func(string)
	listeners []passedFile
	files     []passedFile
	extra     []byte
	cluster   []byte
}

// Extra is what the older process's application had to say, once TakeOver has
// returned; it is the caller's. A nil Inheritance has none.
func (e *Inheritance) Extra() []byte {
	if e == nil {
		return nil
	}
	return e.extra
}

// Cluster is what the older process said as a node of a cluster, once TakeOver has
// returned; nil if it was in none. It is the caller's.
func (e *Inheritance) Cluster() []byte {
	if e == nil {
		return nil
	}
	return e.cluster
}

// Inherit makes the first contact with the older process at the other end of
// link, whose end it takes over. version is ours, for its log.
func Inherit(link *Link, version string) (*Inheritance, error) {
	e := &Inheritance{link: link, fault: faultAt("new")}
	e.fault("started")
	link.setTimeout(startTimeout)
	h := handoff.Hello{Oldest: handoff.Oldest(), Newest: handoff.Format(), Version: version}
	if err := link.say(handoff.MessageHello, h.Append(nil), nil); err != nil {
		return nil, err
	}
	e.fault("hello")
	body, fds, err := link.expect(handoff.MessageWelcome)
	if err != nil {
		return nil, err
	}
	list, err := readWelcome(body, fds)
	if err != nil {
		closeAll(fds)
		return nil, err
	}
	for _, h := range list {
		if h.Listener {
			e.listeners = append(e.listeners, h)
		} else {
			e.files = append(e.files, h)
		}
	}
	e.fault("welcome")
	return e, nil
}

// File is a descriptor of Successor.Files, which is the caller's from here on; nil
// if there is none of that name.
func (e *Inheritance) File(name string) *os.File {
	if e == nil {
		return nil
	}
	i := slices.IndexFunc(e.files, func(h passedFile) bool { return h.Name == name })
	if i < 0 {
		return nil
	}
	f := os.NewFile(uintptr(e.files[i].fd), name)
	e.files = slices.Delete(e.files, i, i+1)
	return f
}

// Passed reports whether there are listeners that the older process had not
// opened itself, but had been started with (Config.Inherited).
func (e *Inheritance) Passed() bool {
	return e != nil && slices.ContainsFunc(e.listeners, func(h passedFile) bool { return h.Name == "" })
}

// listener is the one that was configured as addr, or any of those that were
// not configured at all (addr ""); nil if there is none.
func (e *Inheritance) listener(addr string) (*netpoll.Listener, error) {
	if e == nil {
		return nil, nil
	}
	i := slices.IndexFunc(e.listeners, func(h passedFile) bool { return h.Name == addr })
	if i < 0 {
		return nil, nil
	}
	h := e.listeners[i]
	e.listeners = slices.Delete(e.listeners, i, i+1)
	if h.Path {
		return netpoll.InheritPath(h.fd, netpoll.FileID{Dev: h.Dev, Ino: h.Ino})
	}
	return netpoll.Inherit(h.fd)
}

// drop closes what nobody asked for: what the new configuration does not name.
func (e *Inheritance) drop() {
	for _, h := range append(e.listeners, e.files...) {
		_ = netpoll.Close(h.fd)
	}
	e.listeners, e.files = nil, nil
}
