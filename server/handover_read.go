package server

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"wsd/topic"
)

// Reading records, and refusing those that cannot have been written.

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
	if size == 0 || b[4] < recordWall || b[4] > recordServer {
		return 0, nil, 0, garbled("no such record")
	}
	if uint64(len(b)) < 4+size {
		return 0, nil, 0, nil
	}
	return b[4], b[5 : 4+size], int(4 + size), nil
}

// readServer reads the first record, of whichever kind.
func readServer(kind byte, body []byte) (r serverRecord, err error) {
	in := reader{b: body}
	if r.wall = kind == recordWall; r.wall {
		_, began := in.i64(), in.i64()
		r.frozen = in.i64()
		r.uptime = max(r.frozen-began, 0)
	} else {
		r.frozen, r.uptime = in.i64(), in.i64()
	}
	r.publishes, r.panics = in.u64(), in.u64()
	for n := in.count(); n > 0 && !in.bad; n-- {
		r.counters = append(r.counters, namedCounter{string(in.bytes()), in.u64()})
	}
	if !in.end() || r.uptime < 0 {
		return r, garbled("server record")
	}
	return r, nil
}

func readFrame(body []byte) (r frameRecord, err error) {
	in := reader{b: body}
	r = frameRecord{left: in.i64(), coalesce: string(in.bytes())}
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
	if r.unfinished = len(in.b) > 0; r.unfinished {
		r.began = in.i64()
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
	case r.flags&wireRefused != 0 && r.state != stateRefused && r.state != stateLingering:
		return garbled("a client that was refused and goes on")
	case r.age < 0 || r.since < 0 || r.began < 0 || r.unfinished && r.state != stateOpen:
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
