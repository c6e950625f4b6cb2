// Package handoff is the state format of a handover as pure bytes: what one
// process writes down of itself and its clients for the process that takes over
// from it, and what the two say to each other. It knows no descriptor, no clock
// and no loop; package server writes and reads the records, and passes the
// descriptors along.
//
// # The stream
//
// The state is a stream of records, each a length, a kind and a body. All
// numbers are little-endian; a "uvarint" is encoding/binary's, in its shortest
// form; "bytes" are a uvarint length and so many bytes.
//
//	u32 length of what follows │ u8 kind │ body
//
//	server   i64 frozen: CLOCK_MONOTONIC (ns) when the loops stood still; i64 uptime (ns),
//	         u64 publishes, u64 panics
//	         uvarint n, n × { bytes name, u64 value }: the counters; fields
//	blob     bytes name, and the rest of the body: what some part of the program has to say
//	         to itself; in ascending order of names
//	needed   as a blob; whoever does not know its name refuses the state
//	frame    i64 left until its deadline (ns), 0: none; bytes coalesce, bytes frame; fields;
//	         frames are numbered from 0
//	client   u8[16] id, u8[16] address, u16 port, i64 age (ns), i64 silence: age of the stamp (ns),
//	         u8 state, u8 flags, u8[16] conn.State, 3 × f32 buckets, u32 their age (ms),
//	         bytes leftover, bytes the request that waits, uvarint n, n × bytes topic,
//	         uvarint n, n × { i64 age (ns), u8 flags, shared: uvarint frame, uvarint
//	         bytes still to be sent; own: bytes }: the send queue; fields
//	end      u64 clients, u64 frames
//
// The server record comes first, a frame comes before the clients that wait for
// it, and the end record comes last. One descriptor goes along for each client
// record, in their order.
//
// Fields are what few records have. They take up the rest of the body: a record
// without any ends where they would begin. They come in ascending order of tags.
//
//	uvarint tag │ bytes value
//
//	client   tag 1: i64 how long ago (ns) the first byte of the message in progress came
//	         tag 3: no bytes; it wants to be told before its token expires
//	         tag 6: the user's name, as bytes without a length; may be empty: the client is
//	                known, and nobody in particular; tags 8, 10, 12 and 14 only with it
//	         tag 8: i64 left until its token expires (ns), by the wall clock
//	         tag 10: what its token lets it do, as package server has it
//	         tag 12: u64 hash of its token's id, not 0
//	         tag 13: u8 what of a proxy's: ProxyFlags, not 0
//	         tag 14: i64 when its token was issued, Unix seconds, not 0
//	         tag 16: no bytes; it has still to prove who it is
//
// Times are ages as of frozen, or what is left: a wall clock that is set does
// not change them. Formats 1 and 2 had Unix nanoseconds for deadlines and for
// when a client came, no fields, and other records for server and blob. [Reader]
// turns those times into ages, and extra into the blob [BlobApplication].
//
//	wall     i64 epoch (not needed any more), i64 began, i64 frozen; the rest as in server
//	extra    the application's own bytes, whatever they are
//
// # Versions
//
// A change of the layout, or of what a field means, needs a new version. A
// process takes over only from one whose version it reads.
//
// A new tag, kind or flag needs none, so that going back to an older program
// works as long as nothing is used that it does not know. It's OK to be odd (as
// in Lightning's BOLT 1): what has an odd tag or kind is skipped by a process that
// does not know it, and an even one is refused ([ErrUnknown]). A blob of an
// unknown name is skipped; unknown flags and states are refused.
//
// These numbers are kept for what is to come. Nobody writes or reads them yet:
//
//	client   tag 2: TLS: u16 version, u16 suite, and for reading and writing each: bytes key,
//	                bytes IV, u64 sequence number, bytes secret
//	         tag 4: the part of a TLS record that came (leftover has what is decrypted)
//	         flag 1<<6: it gets positions; flag 1<<7: permessage-deflate was agreed on
//	queued   flag 1<<2: ciphertext of TLS, which comes first and is not left out
//	kind 9   a topic's history: bytes topic, uvarint n, n × { uvarint frame, u64 sequence, i64 age (ns) }
//
// Names of blobs that are to come: history's epoch, the master of TLS tickets.
package handoff

import "strconv"

// The version of the layout, and the oldest that is read. Format 1 had no
// FlagRefused, format 2 had times by the wall clock. They are text so that the
// test across two builds can link others in (-X).
var (
	format = "3"
	oldest = "1"
)

// Format is the version of the layout that is written.
func Format() uint64 { return number(format) }

// Oldest is the oldest version that is read.
func Oldest() uint64 { return number(oldest) }

func number(text string) uint64 {
	n, err := strconv.ParseUint(text, 10, 32)
	if err != nil {
		panic("handoff: the state format is no number: " + text)
	}
	return n
}

// Kinds of records.
const (
	kindWall   = 1
	kindFrame  = 2
	kindClient = 3
	kindExtra  = 4
	kindEnd    = 5
	kindServer = 6
	kindBlob   = 7
	kindNeeded = 8
)

// Tags of a client's fields.
const (
	tagMessageAge = 1
	tagWarnExpiry = 3
	tagUser       = 6
	tagExpires    = 8
	tagGrants     = 10
	tagToken      = 12
	tagProxy      = 13
	tagIssued     = 14
	tagUnproven   = 16
)

// mostUser bounds a user's name, in bytes.
const mostUser = 255

// State is where a client is in its life.
type State uint8

// States of a client. The numbers are the format's.
const (
	StateJoining   State = 1
	StateRefused   State = 2
	StateOpen      State = 3
	StateClosing   State = 4
	StateLingering State = 5
)

// Flags are a client's.
type Flags uint8

// Flags of a client. The numbers are the format's.
const (
	FlagEcho    Flags = 1 << 0 // it came to the raw echo path
	FlagAgain   Flags = 1 << 1 // there are bytes to go on with
	FlagPinged  Flags = 1 << 2 // it was silent for too long and has got a ping
	FlagSpoke   Flags = 1 << 3 // it has sent a whole message
	FlagFinish  Flags = 1 << 4 // once its queue is written the connection ends
	FlagRefused Flags = 1 << 5 // it takes none of the clients' places; since format 2
	flagsKnown  Flags = 1<<6 - 1
)

// ProxyFlags are about a client that came through a proxy.
type ProxyFlags uint8

// Flags of a client that came through a proxy. The numbers are the format's.
const (
	ProxyHeaderDue ProxyFlags = 1 << 0 // it begins with a PROXY header, which did not come yet
	ProxyAddress   ProxyFlags = 1 << 1 // its address is the proxy's, which has no share
	proxyKnown     ProxyFlags = 1<<2 - 1
)

// QueuedFlags are a queued message's.
type QueuedFlags uint8

// Flags of a queued message. The numbers are the format's.
const (
	QueuedDrop   QueuedFlags = 1 << 0 // it may be left out
	QueuedShared QueuedFlags = 1 << 1 // it is the end of a frame
	queuedKnown  QueuedFlags = 1<<2 - 1
)

// Server is the first record: what is the process's as a whole.
type Server struct {
	// Wall says that Frozen is by the wall clock (Unix nanoseconds), as in
	// formats 1 and 2. Otherwise it is by CLOCK_MONOTONIC. Nobody writes Wall.
	Wall bool
	// Frozen is when the loops stood still: all ages are as of then.
	Frozen int64
	// Uptime is how long the server has been up, in nanoseconds, over all processes so far.
	Uptime            int64
	Publishes, Panics uint64
	// Counters go by names, so that a program may have more of them, or fewer.
	Counters []Counter
}

// Counter is a number that goes on in the next process.
type Counter struct {
	Name  string
	Value uint64
}

// Blob is what some part of the program keeps beside the clients, by its name.
// Whoever does not know the name leaves it out.
type Blob struct {
	Name  string
	Value []byte
	// Needed: whoever does not know the name must not go on.
	Needed bool
}

// Names of blobs: what the application passes on to itself, and the revocations of
// tokens, which are needed.
const (
	BlobApplication = "application"
	BlobRevocations = "revocations"
)

// BlobCluster is the name of what a node of a cluster passes on to itself.
const BlobCluster = "cluster"

// Frame is a published message, with its frame header, that clients wait for.
type Frame struct {
	// Left is how many nanoseconds are left until its deadline; negative: it is
	// over, 0: it has none.
	Left int64
	// Coalesce is the key by which a newer message takes its place; "": none.
	Coalesce string
	Frame    []byte
}

// Client is one connection. Its descriptor goes beside it.
type Client struct {
	ID   [16]byte
	Addr [16]byte // of the peer, IPv4 mapped into IPv6; zero on a unix socket
	Port uint16
	// Age is how many nanoseconds ago it came, or once it is open, the handshake was done.
	Age int64
	// Silence is how many nanoseconds ago its last byte came; joining, closing
	// and lingering: ago it became that.
	Silence int64
	State   State
	Flags   Flags
	// Conn is a conn.State, as it writes itself.
	Conn [16]byte
	// Buckets are what it may still send: messages, bytes and control frames.
	// They were filled up Refilled milliseconds ago.
	Buckets  [3]float32
	Refilled uint32
	// MessageAge is how many nanoseconds ago the first byte of the message in
	// progress came; 0: there is none, or the older process does not tell.
	MessageAge int64
	// Proxy is about a client that came through a proxy.
	Proxy ProxyFlags
	// Leftover are bytes that came and are not parsed yet.
	Leftover []byte
	// Waiting is a request that was not begun for the handover's sake.
	Waiting []byte
	Topics  []string
	Queue   []Queued
	// Known says who it is, if that is known: the next five are of the token it came by.
	Known bool
	User  string
	// Expires is how many nanoseconds are left until the token expires, negative if it
	// has; 0: it does not.
	Expires int64
	Grants  []byte
	Token   uint64
	Issued  int64 // Unix seconds; 0: it does not say
	// WarnExpiry: it wants to be told before that. Unproven: it has still to prove who
	// it is, and is not Known.
	WarnExpiry, Unproven bool

	wrong bool // a field that was read is
}

// Queued is a message, or the end of one, that waits for room in the socket.
type Queued struct {
	// Age is how many nanoseconds ago it was queued.
	Age   int64
	Flags QueuedFlags
	// Frame is the number of a shared one's frame, and Left says how many of
	// its last bytes are still to be sent.
	Frame, Left uint64
	// Data is an own one's.
	Data []byte
}

// End is the last record. It says how many there were.
type End struct{ Clients, Frames uint64 }
