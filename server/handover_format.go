package server

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strconv"

	"github.com/google/uuid"

	"wsd/conn"
	"wsd/topic"
)

// The state that one process hands over to the next is a stream of records,
// each a length, a kind and a body. All numbers are little-endian; a "uvarint"
// is encoding/binary's, in its shortest form; "bytes" are a uvarint length and
// so many bytes.
//
//	u32 length of what follows │ u8 kind │ body
//
//	server   i64 epoch, i64 began, i64 frozen: Unix nanoseconds
//	         u64 publishes, u64 panics
//	         uvarint n, n × { bytes name, u64 value }: the counters
//	frame    i64 deadline, bytes coalesce, bytes frame; frames are numbered from 0
//	client   u8[16] id, u8[16] address, u16 port, i64 since, i64 age of the stamp (ns),
//	         u8 state, u8 flags, u8[16] conn.State, 3 × f32 buckets, u32 their age (ms),
//	         bytes rest, bytes the request that waits, uvarint n, n × bytes topic,
//	         uvarint n, n × { i64 age (ns), u8 flags, shared: uvarint frame, uvarint
//	         bytes still to be sent; own: bytes }: the send queue
//	extra    the application's own bytes, whatever they are; there may be none
//	end      u64 clients, u64 frames
//
// The records come in this order, so whoever reads them has met a frame before
// the clients that wait for it. One descriptor comes for each client record, in
// their order. Whatever changes this layout, or what a field means, changes
// stateFormat: a process only takes over what it understands whole.

// stateFormat is the version of the layout. It is text so that the test across
// two builds can link another one in (-X).
var stateFormat = "1"

func formatNumber() uint64 {
	n, err := strconv.ParseUint(stateFormat, 10, 32)
	if err != nil {
		panic("server: the state format is no number: " + stateFormat)
	}
	return n
}

// kinds of records.
const (
	recordServer = 1 + iota
	recordFrame
	recordClient
	recordExtra
	recordEnd
)

// Flags of a client as they are written down. Those of client.flags that are
// missing here follow from the rest, or are about the old process's epoll.
const (
	wireEcho   = 1 << iota
	wireAgain  // there are bytes to go on with
	wirePinged // of flagPinged
	wireSpoke
	wireFinish
	wireFlags = 1<<iota - 1
)

// Flags of a queued message.
const (
	wireDrop      = 1 << iota // may be left out
	wireShared                // the end of a frame
	wireNodeFlags = 1<<iota - 1
)

type serverRecord struct {
	epoch, began, frozen int64
	publishes, panics    uint64
	counters             []namedCounter
}

type namedCounter struct {
	name  string
	value uint64
}

type frameRecord struct {
	deadline int64
	coalesce string
	frame    []byte
}

type clientRecord struct {
	id       uuid.UUID
	addr     [16]byte
	port     uint16
	since    int64
	age      int64 // nanoseconds since the stamp
	state    state
	flags    uint8
	proto    conn.State
	buckets  [3]float32 // messages, bytes, controls
	refilled uint32     // milliseconds ago
	rest     []byte
	waiting  []byte // a request of a pooled action that was not begun
	topics   []string
	queue    []nodeRecord
}

type nodeRecord struct {
	age   int64
	flags uint8
	frame uint64 // of a shared one: which
	left  uint64 // and how many of its last bytes
	data  []byte // of an own one
}

type endRecord struct{ clients, frames uint64 }

var le = binary.LittleEndian

func appendBytes[T string | []byte](b []byte, p T) []byte {
	return append(binary.AppendUvarint(b, uint64(len(p))), p...)
}

// beginRecord starts a record; endRecordAt fills in its length.
func beginRecord(b []byte, kind byte) (_ []byte, start int) {
	return append(b, 0, 0, 0, 0, kind), len(b)
}

func finishRecord(b []byte, start int) []byte {
	le.PutUint32(b[start:], uint32(len(b)-start-4))
	return b
}

func appendServer(b []byte, r *serverRecord) []byte {
	b, start := beginRecord(b, recordServer)
	for _, v := range []int64{r.epoch, r.began, r.frozen} {
		b = le.AppendUint64(b, uint64(v))
	}
	b = le.AppendUint64(le.AppendUint64(b, r.publishes), r.panics)
	b = binary.AppendUvarint(b, uint64(len(r.counters)))
	for _, c := range r.counters {
		b = le.AppendUint64(appendBytes(b, c.name), c.value)
	}
	return finishRecord(b, start)
}

func appendFrame(b []byte, r *frameRecord) []byte {
	b, start := beginRecord(b, recordFrame)
	b = le.AppendUint64(b, uint64(r.deadline))
	b = appendBytes(appendBytes(b, r.coalesce), r.frame)
	return finishRecord(b, start)
}

func appendClient(b []byte, r *clientRecord) []byte {
	b, start := beginRecord(b, recordClient)
	b = append(append(b, r.id[:]...), r.addr[:]...)
	b = le.AppendUint16(b, r.port)
	b = le.AppendUint64(le.AppendUint64(b, uint64(r.since)), uint64(r.age))
	b = append(b, byte(r.state), r.flags)
	b, _ = r.proto.AppendBinary(b) // never fails
	for _, f := range r.buckets {
		b = le.AppendUint32(b, math.Float32bits(f))
	}
	b = le.AppendUint32(b, r.refilled)
	b = appendBytes(appendBytes(b, r.rest), r.waiting)
	b = binary.AppendUvarint(b, uint64(len(r.topics)))
	for _, name := range r.topics {
		b = appendBytes(b, name)
	}
	b = binary.AppendUvarint(b, uint64(len(r.queue)))
	for i := range r.queue {
		b = appendNode(b, &r.queue[i])
	}
	return finishRecord(b, start)
}

func appendNode(b []byte, n *nodeRecord) []byte {
	b = append(le.AppendUint64(b, uint64(n.age)), n.flags)
	if n.flags&wireShared == 0 {
		return appendBytes(b, n.data)
	}
	return binary.AppendUvarint(binary.AppendUvarint(b, n.frame), n.left)
}

func appendExtra(b, extra []byte) []byte {
	b, start := beginRecord(b, recordExtra)
	return finishRecord(append(b, extra...), start)
}

func appendEnd(b []byte, r *endRecord) []byte {
	b, start := beginRecord(b, recordEnd)
	return finishRecord(le.AppendUint64(le.AppendUint64(b, r.clients), r.frames), start)
}

// errState is what every record that cannot have been written is refused with.
var errState = errors.New("the state is garbled")

func garbled(what string) error { return fmt.Errorf("%w: %s", errState, what) }

// reader takes a body apart. After the first thing that is not there it returns
// zeros, and bad is set. What it returns aliases b.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) take(n uint64) []byte {
	if r.bad || n > uint64(len(r.b)) {
		r.bad = true
		return nil
	}
	p := r.b[:n:n]
	r.b = r.b[n:]
	return p
}

func (r *reader) u8() uint8 {
	if p := r.take(1); p != nil {
		return p[0]
	}
	return 0
}

func (r *reader) u16() uint16 {
	if p := r.take(2); p != nil {
		return le.Uint16(p)
	}
	return 0
}

func (r *reader) u32() uint32 {
	if p := r.take(4); p != nil {
		return le.Uint32(p)
	}
	return 0
}

func (r *reader) u64() uint64 {
	if p := r.take(8); p != nil {
		return le.Uint64(p)
	}
	return 0
}

func (r *reader) i64() int64 { return int64(r.u64()) }

func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.b)
	if r.bad || n <= 0 || n > 1 && r.b[n-1] == 0 { // the shortest form only
		r.bad = true
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) bytes() []byte { return r.take(r.uvarint()) }

// count is a number of elements, each of at least one byte: what is not there
// is not allocated for.
func (r *reader) count() int {
	n := r.uvarint()
	if n > uint64(len(r.b)) {
		r.bad = true
		return 0
	}
	return int(n)
}

// end reports whether the body was all there, and no more than that.
func (r *reader) end() bool { return !r.bad && len(r.b) == 0 }

// cutRecord takes the first record off b. n is 0 while it is not whole.
func cutRecord(b []byte) (kind byte, body []byte, n int, err error) {
	if len(b) < 5 {
		return 0, nil, 0, nil
	}
	size := uint64(le.Uint32(b))
	if size == 0 || b[4] < recordServer || b[4] > recordEnd {
		return 0, nil, 0, garbled("no such record")
	}
	if uint64(len(b)) < 4+size {
		return 0, nil, 0, nil
	}
	return b[4], b[5 : 4+size], int(4 + size), nil
}

func readServer(body []byte) (r serverRecord, err error) {
	in := reader{b: body}
	r.epoch, r.began, r.frozen = in.i64(), in.i64(), in.i64()
	r.publishes, r.panics = in.u64(), in.u64()
	for n := in.count(); n > 0 && !in.bad; n-- {
		r.counters = append(r.counters, namedCounter{string(in.bytes()), in.u64()})
	}
	if !in.end() {
		return r, garbled("server record")
	}
	return r, nil
}

func readFrame(body []byte) (r frameRecord, err error) {
	in := reader{b: body}
	r = frameRecord{deadline: in.i64(), coalesce: string(in.bytes())}
	r.frame = append([]byte(nil), in.bytes()...)
	if !in.end() || len(r.frame) == 0 {
		return r, garbled("frame record")
	}
	return r, nil
}

func readEnd(body []byte) (r endRecord, err error) {
	in := reader{b: body}
	r = endRecord{in.u64(), in.u64()}
	if !in.end() {
		return r, garbled("end record")
	}
	return r, nil
}

// readClient reads and checks a client; frames are those that came before it.
// What it returns aliases body.
func readClient(body []byte, frames []*delivery, r *clientRecord) error {
	in := reader{b: body}
	*r = clientRecord{topics: r.topics[:0], queue: r.queue[:0]}
	copy(r.id[:], in.take(16))
	copy(r.addr[:], in.take(16))
	r.port = in.u16()
	r.since, r.age = in.i64(), in.i64()
	r.state, r.flags = state(in.u8()), in.u8()
	if err := r.proto.UnmarshalBinary(in.take(16)); err != nil {
		return garbled("client record: " + err.Error())
	}
	for i := range r.buckets {
		r.buckets[i] = math.Float32frombits(in.u32())
	}
	r.refilled = in.u32()
	r.rest, r.waiting = in.bytes(), in.bytes()
	for n := in.count(); n > 0 && !in.bad; n-- {
		r.topics = append(r.topics, string(in.bytes()))
	}
	for n := in.count(); n > 0 && !in.bad; n-- {
		node := nodeRecord{age: in.i64(), flags: in.u8()}
		if node.flags&wireShared == 0 {
			node.data = in.bytes()
		} else {
			node.frame, node.left = in.uvarint(), in.uvarint()
		}
		r.queue = append(r.queue, node)
	}
	if !in.end() {
		return garbled("client record")
	}
	return r.check(frames)
}

// check refuses what no loop can have written down, as far as a loop relies on it.
func (r *clientRecord) check(frames []*delivery) error {
	switch {
	case r.state < stateJoining || r.state > stateLingering, r.flags&^wireFlags != 0:
		return garbled("a state or a flag of a client")
	case r.age < 0 || r.since < 0:
		return garbled("a time of a client")
	case r.state != stateOpen && (len(r.waiting) > 0 || len(r.topics) > 0):
		return garbled("a client that is not open waits or is subscribed")
	case r.state >= stateOpen && r.state < stateLingering && r.have() > len(r.rest):
		return garbled("a client's partial message is missing")
	}
	for _, f := range r.buckets {
		if f != f || math.Abs(float64(f)) > math.MaxUint32 {
			return garbled("a token bucket")
		}
	}
	for _, name := range r.topics {
		if topic.ValidName(name) != nil {
			return garbled("a topic")
		}
	}
	size := uint64(0)
	for i := range r.queue {
		n := &r.queue[i]
		if !n.possible(i, frames) {
			return garbled("a send queue")
		}
		size += n.left + uint64(len(n.data))
	}
	if size > math.MaxInt32 {
		return garbled("a send queue's size")
	}
	return nil
}

// have is how many bytes of rest belong to a message in progress.
func (r *clientRecord) have() int {
	b, _ := r.proto.MarshalBinary() // never fails; the first four bytes are the length
	return int(le.Uint32(b))
}

// possible: only whole published messages may be left out; only the first of a
// queue may be sent in part.
func (n *nodeRecord) possible(i int, frames []*delivery) bool {
	switch {
	case n.age < 0 || n.flags&^wireNodeFlags != 0:
		return false
	case n.flags&wireShared == 0:
		return len(n.data) > 0 && n.flags&wireDrop == 0
	case n.frame >= uint64(len(frames)) || n.left == 0:
		return false
	}
	whole := uint64(len(frames[n.frame].frame))
	return n.left <= whole && (n.left == whole || n.flags&wireDrop == 0 && i == 0)
}
