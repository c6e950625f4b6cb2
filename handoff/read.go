package handoff

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// Reading records, and refusing those that cannot have been written.

// Why a state is refused.
var (
	// ErrGarbled: it cannot have been written.
	ErrGarbled = errors.New("the state is garbled")
	// ErrUnknown: a newer program wrote something that must not be left out.
	ErrUnknown = errors.New("the state has something that this program does not know and must not leave out")
)

func garbled(what string) error { return fmt.Errorf("%w: %s", ErrGarbled, what) }

// body takes a record's body apart. After the first thing that is not there it
// returns zeros, and bad is set. What it returns aliases b.
type body struct {
	b   []byte
	bad bool
}

func (in *body) take(n uint64) []byte {
	if in.bad || n > uint64(len(in.b)) {
		in.bad = true
		return nil
	}
	p := in.b[:n:n]
	in.b = in.b[n:]
	return p
}

func (in *body) u8() uint8 {
	if p := in.take(1); p != nil {
		return p[0]
	}
	return 0
}

func (in *body) u16() uint16 {
	if p := in.take(2); p != nil {
		return le.Uint16(p)
	}
	return 0
}

func (in *body) u32() uint32 {
	if p := in.take(4); p != nil {
		return le.Uint32(p)
	}
	return 0
}

func (in *body) u64() uint64 {
	if p := in.take(8); p != nil {
		return le.Uint64(p)
	}
	return 0
}

func (in *body) i64() int64 { return int64(in.u64()) }

func (in *body) uvarint() uint64 {
	v, n := binary.Uvarint(in.b)
	if in.bad || n <= 0 || n > 1 && in.b[n-1] == 0 { // the shortest form only
		in.bad = true
		return 0
	}
	in.b = in.b[n:]
	return v
}

func (in *body) bytes() []byte { return in.take(in.uvarint()) }

// count is a number of elements, each of at least one byte: what is not there
// is not allocated for.
func (in *body) count() int {
	n := in.uvarint()
	if n > uint64(len(in.b)) {
		in.bad = true
		return 0
	}
	return int(n)
}

// fields reads the fields that end a record and gives each to take, which
// reports whether it knows the tag.
func (in *body) fields(record string, take func(tag uint64, value body) bool) error {
	for last := uint64(0); len(in.b) > 0; {
		tag, value := in.uvarint(), in.bytes()
		if in.bad || tag <= last {
			return garbled("the fields of a " + record)
		}
		if !take(tag, body{b: value}) && tag%2 == 0 {
			return fmt.Errorf("%w: field %d of a %s", ErrUnknown, tag, record)
		}
		last = tag
	}
	return nil
}

// noField is for records of which no field is known yet.
func noField(uint64, body) bool { return false }

// end reports whether the body was all there, and no more than that.
func (in *body) end() bool { return !in.bad && len(in.b) == 0 }

// cutRecord takes the first record off b. n is 0 while it is not whole, and kind
// is 0 while it is not there.
func cutRecord(b []byte) (kind byte, in body, n int, err error) {
	if len(b) < 5 {
		return 0, body{}, 0, nil
	}
	size := uint64(le.Uint32(b))
	if size == 0 || b[4] == 0 {
		return 0, body{}, 0, garbled("no such record")
	}
	if uint64(len(b)) < 4+size {
		return b[4], body{}, 0, nil
	}
	return b[4], body{b: b[5 : 4+size]}, int(4 + size), nil
}

// readServer reads the first record, of whichever kind.
func readServer(kind byte, in body) (r Server, err error) {
	if r.Wall = kind == kindWall; r.Wall {
		_, began := in.i64(), in.i64()
		r.Frozen = in.i64()
		r.Uptime = max(r.Frozen-began, 0)
	} else {
		r.Frozen, r.Uptime = in.i64(), in.i64()
	}
	r.Publishes, r.Panics = in.u64(), in.u64()
	for n := in.count(); n > 0 && !in.bad; n-- {
		r.Counters = append(r.Counters, Counter{string(in.bytes()), in.u64()})
	}
	if !r.Wall && !in.bad {
		if err := in.fields("server record", noField); err != nil {
			return r, err
		}
	}
	if !in.end() || r.Uptime < 0 {
		return r, garbled("server record")
	}
	return r, nil
}

// readBlob reads a blob, which comes after that of name last.
func readBlob(in body, last string) (r Blob, err error) {
	r.Name = string(in.bytes())
	r.Value = in.b
	if in.bad || r.Name <= last {
		return r, garbled("blob record")
	}
	return r, nil
}

// readFrame reads a frame; wall is of formats 1 and 2.
func readFrame(in body, wall bool) (r Frame, err error) {
	r = Frame{Left: in.i64(), Coalesce: string(in.bytes()), Frame: in.bytes()}
	if !wall && !in.bad {
		if err := in.fields("frame record", noField); err != nil {
			return r, err
		}
	}
	if !in.end() || len(r.Frame) == 0 {
		return r, garbled("frame record")
	}
	return r, nil
}

func readEnd(in body) (r End, err error) {
	r = End{in.u64(), in.u64()}
	if !in.end() {
		return r, garbled("end record")
	}
	return r, nil
}

// read reads and checks a client; frames are the sizes of those that came
// before it, wall is of formats 1 and 2. What it returns aliases in.
func (r *Client) read(in body, frames []uint64, wall bool) error {
	*r = Client{Topics: r.Topics[:0], Queue: r.Queue[:0]}
	copy(r.ID[:], in.take(16))
	copy(r.Addr[:], in.take(16))
	r.Port = in.u16()
	r.Age, r.Silence = in.i64(), in.i64()
	r.State, r.Flags = State(in.u8()), Flags(in.u8())
	copy(r.Conn[:], in.take(16))
	for i := range r.Buckets {
		r.Buckets[i] = math.Float32frombits(in.u32())
	}
	r.Refilled = in.u32()
	r.Leftover, r.Waiting = in.bytes(), in.bytes()
	for n := in.count(); n > 0 && !in.bad; n-- {
		r.Topics = append(r.Topics, string(in.bytes()))
	}
	for n := in.count(); n > 0 && !in.bad; n-- {
		q := Queued{Age: in.i64(), Flags: QueuedFlags(in.u8())}
		if q.Flags&QueuedShared == 0 {
			q.Data = in.bytes()
		} else {
			q.Frame, q.Left = in.uvarint(), in.uvarint()
		}
		r.Queue = append(r.Queue, q)
	}
	if !wall && !in.bad {
		if err := in.fields("client record", r.field); err != nil {
			return err
		}
	}
	if !in.end() {
		return garbled("client record")
	}
	return r.check(frames)
}

// field reads one of the client's fields. What cannot be written is left for check
// to refuse.
func (r *Client) field(tag uint64, value body) bool {
	switch tag {
	case tagMessageAge:
		if r.MessageAge = value.i64(); !value.end() || r.MessageAge == 0 {
			r.MessageAge = -1 // which check refuses
		}
	case tagWarnExpiry:
		r.WarnExpiry, r.wrong = true, r.wrong || !value.end()
	case tagUser:
		r.Known, r.User, r.wrong = true, string(value.b), r.wrong || len(value.b) > mostUser
	case tagExpires:
		r.Expires = value.i64()
		r.wrong = r.wrong || !value.end() || r.Expires == 0 || !r.Known
	case tagGrants:
		r.Grants, r.wrong = value.b, r.wrong || len(value.b) == 0 || !r.Known
	case tagToken:
		r.Token = value.u64()
		r.wrong = r.wrong || !value.end() || r.Token == 0 || !r.Known
	case tagIssued:
		r.Issued = value.i64()
		r.wrong = r.wrong || !value.end() || r.Issued == 0 || !r.Known
	case tagUnproven:
		r.Unproven, r.wrong = true, r.wrong || !value.end() || r.Known
	case tagProxy:
		if r.Proxy = ProxyFlags(value.u8()); !value.end() || r.Proxy == 0 {
			r.Proxy = ^proxyKnown // which check refuses
		}
	default:
		return false
	}
	return true
}

// check refuses what no loop can have written down, as far as a loop relies on it.
func (r *Client) check(frames []uint64) error {
	switch {
	case r.State < StateJoining || r.State > StateLingering, r.Flags&^flagsKnown != 0, r.Proxy&^proxyKnown != 0:
		return garbled("a state or a flag of a client")
	case r.Flags&FlagRefused != 0 && r.State != StateRefused && r.State != StateLingering:
		return garbled("a client that was refused and goes on")
	case r.wrong, r.State != StateOpen && (r.Known || r.Unproven), r.WarnExpiry && !r.Known:
		return garbled("who a client is")
	case r.Age < 0 || r.Silence < 0 || r.MessageAge < 0:
		return garbled("a time of a client")
	case r.State != StateOpen && (len(r.Waiting) > 0 || len(r.Topics) > 0):
		return garbled("a client that is not open waits or is subscribed")
	}
	for _, f := range r.Buckets {
		if f != f || math.Abs(float64(f)) > math.MaxUint32 {
			return garbled("a token bucket")
		}
	}
	size := uint64(0)
	for i := range r.Queue {
		q := &r.Queue[i]
		if !q.possible(i, frames) {
			return garbled("a send queue")
		}
		size += q.Left + uint64(len(q.Data))
	}
	if size > math.MaxInt32 {
		return garbled("a send queue's size")
	}
	return nil
}

// possible: only whole published messages may be left out; only the first of a
// queue may be sent in part.
func (q *Queued) possible(i int, frames []uint64) bool {
	switch {
	case q.Age < 0 || q.Flags&^queuedKnown != 0:
		return false
	case q.Flags&QueuedShared == 0:
		return len(q.Data) > 0 && q.Flags&QueuedDrop == 0
	case q.Frame >= uint64(len(frames)) || q.Left == 0:
		return false
	}
	whole := frames[q.Frame]
	return q.Left <= whole && (q.Left == whole || q.Flags&QueuedDrop == 0 && i == 0)
}
