package handoff

import (
	"encoding/binary"
	"errors"
	"strconv"
)

// What the two processes say to each other, message by message. A message is a
// byte that says which, and a body.
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

// Message is a kind of message.
type Message byte

// Messages. The numbers are the same in all versions.
const (
	MessageHello    Message = 1
	MessageWelcome  Message = 2
	MessageRefused  Message = 3
	MessagePrepared Message = 4
	MessageState    Message = 5
	MessageReady    Message = 6
	MessageCommit   Message = 7
	MessageRunning  Message = 8
)

var messageNames = [...]string{MessageHello: "hello", MessageWelcome: "welcome", MessageRefused: "refused",
	MessagePrepared: "prepared", MessageState: "state", MessageReady: "ready", MessageCommit: "commit", MessageRunning: "running"}

func (m Message) String() string {
	if int(m) < len(messageNames) && messageNames[m] != "" {
		return messageNames[m]
	}
	return "message " + strconv.Itoa(int(m))
}

// Hello is what a new process says of itself.
type Hello struct {
	Oldest, Newest uint64 // state formats it reads
	Version        string // of the program, for people
}

const magic = "wsd handover"

// Append appends the body of the message to b.
func (h *Hello) Append(b []byte) []byte {
	b = append(b, magic...)
	b = binary.AppendUvarint(binary.AppendUvarint(b, h.Oldest), h.Newest)
	return appendBytes(b, h.Version)
}

// ReadHello reads what Append wrote.
func ReadHello(b []byte) (h Hello, err error) {
	in := body{b: b}
	said := string(in.take(uint64(len(magic))))
	h = Hello{in.uvarint(), in.uvarint(), string(in.bytes())}
	if !in.end() || said != magic {
		return h, errors.New("that is no wsd")
	}
	return h, nil
}

// PassedFile is a descriptor that is not a client's: a listener, by what it was
// configured as, or a file of the program's own, by its name.
type PassedFile struct {
	Name     string
	Listener bool
	// Path: it is a unix socket whose file goes along. That one has these
	// numbers; both are 0 if the older process does not tell.
	Path     bool
	Dev, Ino uint64
}

// AppendFiles appends the body of a welcome to b. The descriptors go along in
// the same order.
func AppendFiles(b []byte, list []PassedFile) []byte {
	b = binary.AppendUvarint(b, uint64(len(list)))
	for _, f := range list {
		known := f.Dev != 0 || f.Ino != 0
		b = append(b, bit(f.Listener, 1)|bit(f.Path || known, 2)|bit(known, 4))
		if b = appendBytes(b, f.Name); known {
			b = le.AppendUint64(le.AppendUint64(b, f.Dev), f.Ino)
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

// ReadFiles reads what AppendFiles wrote.
func ReadFiles(b []byte) (list []PassedFile, err error) {
	in := body{b: b}
	for n := in.count(); n > 0 && !in.bad; n-- {
		bits := in.u8()
		f := PassedFile{Name: string(in.bytes()), Listener: bits&1 != 0, Path: bits&2 != 0}
		if bits&4 != 0 {
			f.Dev, f.Ino = in.u64(), in.u64()
		}
		list = append(list, f)
	}
	if !in.end() {
		return nil, garbled("list of listeners")
	}
	return list, nil
}

// AppendReady appends the body of a ready to b: how many clients there are.
func AppendReady(b []byte, clients uint64) []byte { return le.AppendUint64(b, clients) }

// ReadReady reads what AppendReady wrote.
func ReadReady(b []byte) (clients uint64, err error) {
	in := body{b: b}
	if clients = in.u64(); !in.end() {
		return 0, garbled("ready")
	}
	return clients, nil
}
