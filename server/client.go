package server

import (
	"net/netip"
	"sync/atomic"

	"github.com/google/uuid"

	"wsd/conn"
	"wsd/netpoll"
)

// client is what the server keeps for one socket. It holds no pointer, so that
// the collector does not look into the slabs, and it is small, because there
// are a million of them. What few clients have at a time (bytes of a cut
// message, a running handler) is in an extra, what cannot be sent yet in the
// loop's queue. Who a client is, if that is known, is in an ident.
type client struct {
	id    uuid.UUID
	addr  [16]byte // where it comes from, see proxy.go: IPv4 mapped into IPv6; zero on a unix socket
	since int64    // when it was accepted, then when the handshake was done, by instant
	proto conn.State

	fd         int32
	generation uint32 // of the slot; an event that carries another one is stale
	pinged     uint32 // tick of the ping that flagPinged speaks of
	stamp      uint32 // tick of the last byte received; in joining, closing and lingering: of the entry
	next, prev uint32 // neighbours in the wheel's bucket; next also links free slots
	extra      uint32 // index in loop.extras plus one

	// The send queue in loop.queue: nodes plus one, and the bytes they hold,
	// nodeCost for each node included.
	head, tail uint32
	pending    uint32

	// Token buckets: what may still be sent, as of refilled (in milliseconds).
	messages, bytes, controls float32
	refilled                  uint32

	flags flags
	port  uint16
	state state
	due   uint8 // bucket of the wheel plus one; 0: in none
}

// state is where a client is in its life. It only moves down this list.
type state uint8

const (
	stateFree state = iota
	// stateJoining: the handshake is not there yet.
	stateJoining
	// stateRefused: joining, and the answer will be 503.
	stateRefused
	// stateOpen: a WebSocket connection.
	stateOpen
	// stateClosing: our close frame is on its way, the peer's is awaited.
	stateClosing
	// stateLingering: all is said and our side is shut; what the peer still
	// sends is thrown away until it hangs up. Closing at once would make the
	// kernel send a reset that destroys the answer on its way.
	stateLingering
	// stateDead: to be closed and freed at the end of the batch.
	stateDead
)

// flags of a client.
type flags uint32

const (
	// flagEcho: it came to the raw echo path.
	flagEcho flags = 1 << iota
	// flagReadable: the kernel may have bytes that were not asked for yet.
	// Readiness is edge-triggered: nobody will say so again.
	flagReadable
	// flagAgain: it is in loop.again.
	flagAgain
	// flagPinged: it was silent for too long and has got a ping.
	flagPinged
	// flagSpoke: it has sent a whole message.
	flagSpoke
	// flagWriting: EPOLLOUT is armed; it stays so, edge-triggered it costs nothing.
	flagWriting
	// flagStuck: it is in loop.slow.stuck.
	flagStuck
	// flagCounted: it counts in its address's share.
	flagCounted
	// flagEnded: the peer hung up, which no further event will say: only a read
	// that finds the end, however many come before it, is the last.
	flagEnded
	// flagSubscribed: it has had a topic.
	flagSubscribed
	// flagFinish: once its queue is written the connection ends.
	flagFinish
	// flagRefused: it takes no client's place but one of those kept for saying
	// no, until it is gone.
	flagRefused
	// flagProxyHeader: joining, and its PROXY header is not there yet.
	flagProxyHeader
	// flagProxy: its address is the one of the proxy that it came through, which
	// has no share.
	flagProxy
	// flagHungUp: nothing more is read, the peer's side is at its end.
	flagHungUp
	// flagKnown: it has an ident in loop.idents.
	flagKnown
	// flagUnproven: it is open and has still to prove who it is, by its first message;
	// it gets nothing before.
	flagUnproven
)

func (c *client) is(f flags) bool { return c.flags&f != 0 }
func (c *client) set(f flags)     { c.flags |= f }
func (c *client) clear(f flags)   { c.flags &^= f }

func (c *client) remote() netip.AddrPort {
	if c.addr == [16]byte{} {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(netip.AddrFrom16(c.addr).Unmap(), c.port)
}

func (c *client) token(slot uint32) netpoll.Token { return netpoll.MakeToken(slot, c.generation) }

// slab holds the clients of one loop, in chunks that never move. Free slots
// are taken last in first out, which keeps the used ones dense.
type slab struct {
	chunks []*[chunkSize]client
	free   uint32 // first free slot plus one, linked through client.next
	used   int
	end    uint32      // no slot from here on is in use
	some   atomic.Bool // used is not 0: for other goroutines
}

const (
	chunkBits = 10 // a chunk is 15 pages of 8 KiB, with nothing left over
	chunkSize = 1 << chunkBits
)

// at returns the record of a slot that was handed out at some time.
func (s *slab) at(slot uint32) *client { return &s.chunks[slot>>chunkBits][slot%chunkSize] }

// size is one more than the highest slot ever handed out, rounded up to chunks.
func (s *slab) size() uint32 { return uint32(len(s.chunks)) << chunkBits }

// find returns the record if t still names it, else nil.
func (s *slab) find(t netpoll.Token) *client {
	if t.Slot() >= s.size() {
		return nil
	}
	if c := s.at(t.Slot()); c.generation == t.Generation() && c.state != stateFree {
		return c
	}
	return nil
}

func (s *slab) alloc() (uint32, *client) {
	if s.free == 0 {
		first := s.size()
		s.chunks = append(s.chunks, new([chunkSize]client))
		for i := first + chunkSize; i > first; i-- { // so that the lowest comes first
			s.at(i-1).next, s.free = s.free, i
		}
	}
	slot := s.free - 1
	c := s.at(slot)
	s.free = c.next
	s.end = max(s.end, slot+1)
	if s.used++; s.used == 1 {
		s.some.Store(true)
	}
	*c = client{generation: max(c.generation+1, 1)} // 0 is the listeners'
	return slot, c
}

func (s *slab) release(slot uint32) {
	c := s.at(slot)
	*c = client{generation: c.generation, next: s.free}
	s.free = slot + 1
	if s.used--; s.used == 0 {
		s.end = 0
		s.some.Store(false)
	}
}
