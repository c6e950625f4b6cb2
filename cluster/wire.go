package cluster

import (
	"encoding/binary"
	"errors"
	"time"

	"github.com/google/uuid"

	"wsd/server"
)

// version is that of the messages between nodes.
const version = 1

// Kinds of messages. The numbers are the protocol's.
const (
	kindHeartbeat = 1
	kindPublish   = 2
	kindResult    = 3
	kindDelta     = 4
	kindSeen      = 5
	kindSnapshot  = 6
	kindWant      = 7
	kindAsk       = 8
	kindTold      = 9
	kindTogether  = 10
)

// Flags of a publish.
const (
	flagBinary = 1 << 0
	flagTell   = 1 << 1 // what a client says to others: nobody waits for the answer
	flagNote   = 1 << 2 // the node has nobody it is for, and is to remember that for the key
	flagsKnown = flagBinary | flagTell | flagNote
)

// status is what a node says of a publish.
type status byte

// The numbers are the protocol's.
const (
	statusDone   status = 1
	statusAtWork status = 2 // the answer is to come
	statusBehind status = 3 // too much waits there: it was dropped
	statusOther  status = 4 // its key was used there for another message
	statusAgain  status = 5 // as done, but that was before, for the same key
)

// Places in a publish.
const (
	atFlags    = 2
	atLife     = 3
	atNumber   = 11
	atDeadline = 19
	atTexts    = 27
)

var errGarbled = errors.New("a message of another node is garbled")

// publish is a message on its way to another node.
type publish struct {
	tell   bool
	note   bool
	life   uint64
	number uint64
	to     server.Target
	m      server.Message
	once   Once
	sent   chan struct{} // if set it is none: to be closed when those before it are put
}

// Once is what makes a publish one that is not done again.
type Once struct {
	// Key is the publisher's name for it; "" means that it has none.
	Key string
	// Print tells whether two publishes of the same key are the same.
	Print [32]byte
}

func head(kind byte) []byte { return []byte{version, kind} }

func appendBytes(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// append writes the publish down. Its number and what is left until its deadline are
// set later, by stamp.
func (p *publish) append(b []byte) []byte {
	flags := byte(0)
	if p.m.Binary {
		flags |= flagBinary
	}
	if p.tell {
		flags |= flagTell
	}
	if p.note {
		flags |= flagNote
	}
	b = append(b, version, kindPublish, flags)
	b = binary.LittleEndian.AppendUint64(b, p.life)
	b = append(b, make([]byte, 16)...)
	b = appendBytes(b, p.m.Coalesce)
	b = appendBytes(b, p.once.Key)
	if p.once.Key != "" {
		b = append(b, p.once.Print[:]...)
	}
	switch topics, users, clients := p.to.Topics(), p.to.Users(), p.to.Clients(); {
	case p.note:
		return append(b, 0)
	case p.to.Everybody():
		b = append(b, 0)
	case len(topics) > 0:
		b = appendNames(append(b, 1), topics)
	case len(users) > 0:
		b = appendNames(append(b, 3), users)
	default:
		b = binary.AppendUvarint(append(b, 2), uint64(len(clients)))
		for i := range clients {
			b = append(b, clients[i][:]...)
		}
	}
	return append(b, p.m.Data...)
}

func appendNames(b []byte, names []string) []byte {
	b = binary.AppendUvarint(b, uint64(len(names)))
	for _, name := range names {
		b = appendBytes(b, name)
	}
	return b
}

// stamp sets what is known only when a publish is sent.
func stamp(b []byte, number uint64, deadline time.Time) {
	binary.LittleEndian.PutUint64(b[atNumber:], number)
	left := int64(0)
	if !deadline.IsZero() {
		if left = int64(time.Until(deadline)); left == 0 {
			left = -1
		}
	}
	binary.LittleEndian.PutUint64(b[atDeadline:], uint64(left))
}

// reader takes a body apart. After the first thing that is missing bad is set, and
// all else is zero.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) take(n uint64) []byte {
	if n > uint64(len(r.b)) {
		r.bad, r.b = true, nil
		return nil
	}
	p := r.b[:n]
	r.b = r.b[n:]
	return p
}

func (r *reader) byte() byte {
	if p := r.take(1); p != nil {
		return p[0]
	}
	return 0
}

func (r *reader) u64() uint64 {
	if p := r.take(8); p != nil {
		return binary.LittleEndian.Uint64(p)
	}
	return 0
}

func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.bad, r.b = true, nil
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) text() string { return string(r.take(r.uvarint())) }

func (r *reader) names(n uint64) []string {
	list := make([]string, n)
	for i := range list {
		list[i] = r.text()
	}
	return list
}

// mostNames bounds the topics, clients or users of a publish.
const mostNames = 1 << 16

// readPublish reads a whole message. Its data is a part of b.
func readPublish(b []byte) (p publish, err error) {
	r := reader{b: b[atFlags:]}
	flags := r.byte()
	p.life, p.number = r.u64(), r.u64()
	left := int64(r.u64())
	p.m.Binary, p.tell, p.note = flags&flagBinary != 0, flags&flagTell != 0, flags&flagNote != 0
	if left != 0 {
		p.m.Deadline = time.Now().Add(time.Duration(left))
	}
	p.m.Coalesce, p.once.Key = r.text(), r.text()
	if p.once.Key != "" {
		copy(p.once.Print[:], r.take(32))
	}
	kind, n := r.byte(), uint64(0)
	if kind != 0 {
		n = r.uvarint()
	}
	switch {
	case r.bad, n > mostNames, flags&^flagsKnown != 0:
		return p, errGarbled
	case kind == 0:
		p.to = server.All()
	case kind == 1:
		p.to = server.Topic(r.names(n)...)
	case kind == 2:
		ids := make([]uuid.UUID, n)
		for i := range ids {
			copy(ids[i][:], r.take(16))
		}
		p.to = server.Client(ids...)
	case kind == 3:
		p.to = server.User(r.names(n)...)
	default:
		return p, errGarbled
	}
	p.m.Data = r.b
	if r.bad {
		return p, errGarbled
	}
	return p, nil
}

// together makes one message of publishes for the same node.
func together(list []outgoingPublish) []byte {
	size := 2
	for _, x := range list {
		size += len(x.body) + binary.MaxVarintLen32
	}
	b := append(make([]byte, 0, size), head(kindTogether)...)
	for _, x := range list {
		b = append(binary.AppendUvarint(b, uint64(len(x.body))), x.body...)
	}
	return b
}

// separate reads the body of such a message. It reports false when it comes to something
// that is no publish; those before are good.
func separate(body []byte, each func(data []byte)) bool {
	for r := (reader{b: body}); len(r.b) > 0; {
		data := r.take(r.uvarint())
		if len(data) < atTexts || data[0] != version || data[1] != kindPublish {
			return false
		}
		each(data)
	}
	return true
}

// answer is what a node says of one publish.
type answer struct {
	number uint64
	status status
	result server.Result
	took   time.Duration // from its arrival to the answer
}

func (a *answer) done() bool { return a.status == statusDone || a.status == statusAgain }

func (a *answer) append(b []byte) []byte {
	b = append(binary.AppendUvarint(b, a.number), byte(a.status))
	if !a.done() {
		return b
	}
	r := &a.result
	for _, n := range [...]int{r.Matched, r.Sent, r.Queued, r.Dropped, r.Expired, int(r.LastClient), int(a.took)} {
		b = binary.AppendUvarint(b, uint64(n))
	}
	return b
}

func readAnswer(r *reader) (a answer) {
	a.number, a.status = r.uvarint(), status(r.byte())
	if !a.done() {
		return a
	}
	var n [7]int
	for i := range n {
		n[i] = int(r.uvarint())
	}
	a.result = server.Result{Matched: n[0], Sent: n[1], Queued: n[2], Dropped: n[3], Expired: n[4], LastClient: time.Duration(n[5])}
	a.took = time.Duration(n[6])
	return a
}
