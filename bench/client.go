package bench

import (
	"wsd/conn"
)

// client is one connection's record: pointer free, so that a million of them
// are one allocation that the collector does not scan.
type client struct {
	state conn.State // 16 B
	since int64      // when connect was called, or the drop it comes back from
	// head and tail are the requests outstanding, oldest first: 1-based nodes of
	// engine.pend, 0 for none.
	head, tail uint32
	fd         int32
	gen        uint32 // of the connection in this slot, so that stale events are noticed
	in, out    uint32 // leftovers received and not yet sent: buffers of engine.bufs, 0 for none
	seen       uint32 // number of the last published message; until it is up, see mark
	missing    uint16 // requests given up on, whose answers may still come
	phase      uint8  // where it is in life: down ... gone
	behaviour  behaviour
	tries      uint8 // failed attempts in a row
	flags      uint8
}

// Stages of a client's life.
//
//	down ──dial──> dialing ──request sent──> upgrading ──101──> open ──> down (to come back)
//	  ^                └────────── failed ───────┘                └────> gone (not to come back)
const (
	down uint8 = iota
	dialing
	upgrading
	open
	gone
)

const (
	flagFirst     = 1 << iota // its first answer is awaited
	flagActive                // takes part in the closed loop
	flagReturning             // comes back from a storm: since is when it was dropped
	flagQueued                // waits in engine.dials
)

// mark remembers a moment of the handshake, µs after since.
func (c *client) mark(now int64) { c.seen = uint32((now - c.since) / 1e3) }
func (c *client) marked() int64  { return c.since + int64(c.seen)*1e3 }

func (c *client) has(f uint8) bool { return c.flags&f != 0 }
func (c *client) set(f uint8)      { c.flags |= f }
func (c *client) clear(f uint8)    { c.flags &^= f }
