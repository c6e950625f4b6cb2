package server

import (
	"encoding/binary"
	"math"
	"strconv"

	"github.com/google/uuid"

	"wsd/conn"
)

// The state that one process hands over to the next is a stream of records,
// each a length, a kind and a body. All numbers are little-endian; a "uvarint"
// is encoding/binary's, in its shortest form; "bytes" are a uvarint length and
// so many bytes.
//
//	u32 length of what follows │ u8 kind │ body
//
//	server   i64 frozen: CLOCK_MONOTONIC (ns) when the loops stood still; i64 uptime (ns),
//	         u64 publishes, u64 panics
//	         uvarint n, n × { bytes name, u64 value }: the counters
//	frame    i64 left until its deadline (ns), 0: none; bytes coalesce, bytes frame;
//	         frames are numbered from 0
//	client   u8[16] id, u8[16] address, u16 port, i64 age (ns), i64 age of the stamp (ns),
//	         u8 state, u8 flags, u8[16] conn.State, 3 × f32 buckets, u32 their age (ms),
//	         bytes rest, bytes the request that waits, uvarint n, n × bytes topic,
//	         uvarint n, n × { i64 age (ns), u8 flags, shared: uvarint frame, uvarint
//	         bytes still to be sent; own: bytes }: the send queue;
//	         i64 age of an unfinished message (ns), if there is one
//	extra    the application's own bytes, whatever they are; there may be none
//	end      u64 clients, u64 frames
//
// Times are ages as of frozen, and what is left: no clock that is set makes them
// wrong. Formats 1 and 2 had Unix nanoseconds instead, for deadlines and for when a
// client came, and another first record:
//
//	wall     i64 epoch (not needed any more), i64 began, i64 frozen; the rest as in server
//
// The records come in this order, so whoever reads them has met a frame before
// the clients that wait for it. One descriptor comes for each client record, in
// their order. Whatever changes this layout, or what a field means, changes
// stateFormat: a process only takes over what it understands whole.

// stateFormat is the version of the layout, and stateOldest the oldest that is
// read: 1 did not tell of those who were refused and linger (wireRefused), and 2
// had times by the wall clock. They are text so that the test across two builds can link others in (-X).
var (
	stateFormat = "3"
	stateOldest = "1"
)

func formatNumber(text string) uint64 {
	n, err := strconv.ParseUint(text, 10, 32)
	if err != nil {
		panic("server: the state format is no number: " + text)
	}
	return n
}

// kinds of records.
const (
	recordWall = 1 + iota
	recordFrame
	recordClient
	recordExtra
	recordEnd
	recordServer
)

// Flags of a client as they are written down. Those of client.flags that are
// missing here follow from the rest, or are about the old process's epoll.
const (
	wireEcho   = 1 << iota
	wireAgain  // there are bytes to go on with
	wirePinged // of flagPinged
	wireSpoke
	wireFinish
	wireRefused // of flagRefused; since format 2
	wireFlags   = 1<<iota - 1
)

// Flags of a queued message.
const (
	wireDrop      = 1 << iota // may be left out
	wireShared                // the end of a frame
	wireNodeFlags = 1<<iota - 1
)

type serverRecord struct {
	wall              bool // it came as recordWall
	frozen, uptime    int64
	publishes, panics uint64
	counters          []namedCounter
}

type namedCounter struct {
	name  string
	value uint64
}

type frameRecord struct {
	left     int64 // until the deadline; in a wall record, the deadline
	coalesce string
	frame    []byte
}

type clientRecord struct {
	id       uuid.UUID
	addr     [16]byte
	port     uint16
	since    int64 // its age; after a wall record, when it came
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

	unfinished bool  // the rest is of a message that is being timed
	began      int64 // nanoseconds since its first byte
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
	b = le.AppendUint64(le.AppendUint64(b, uint64(r.frozen)), uint64(r.uptime))
	b = le.AppendUint64(le.AppendUint64(b, r.publishes), r.panics)
	b = binary.AppendUvarint(b, uint64(len(r.counters)))
	for _, c := range r.counters {
		b = le.AppendUint64(appendBytes(b, c.name), c.value)
	}
	return finishRecord(b, start)
}

func appendFrame(b []byte, r *frameRecord) []byte {
	b, start := beginRecord(b, recordFrame)
	b = le.AppendUint64(b, uint64(r.left))
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
	if r.unfinished {
		b = le.AppendUint64(b, uint64(r.began))
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
