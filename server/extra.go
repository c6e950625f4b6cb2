package server

import "math/bits"

// extra is what a client needs only at times: bytes that wait for the rest of
// their frame, a request under way, a place among those who make the server hold
// something. Idle clients have none.
type extra struct {
	leftover []byte         // to be presented to conn again, in a buffer of loop.buffers
	done     int            // bytes of it that conn has taken already
	call     *call          // the request whose answer is awaited
	check    *newcomerCheck // of a client that joins, if its token takes long to look at
	slot     uint32         // of the client
	free     uint32         // next free one

	waiting []byte // a request put off until a handover is over

	reach *reaching // the answer to a subscribe that waits for the cluster

	taken uint32 // tick at which the client last took bytes of its queue

	// began is the tick at which the first byte of an unfinished message came, or
	// of its frame; it counts if unfinished is set.
	began      uint32
	unfinished bool
	weight     uint8 // the list of loop.holders that it is in, 0: none

	// Its place in loop.holders: neighbours, by number, and the tick at
	// which it came to that list, 0 if it is in none.
	before, after, since uint32

	// beyond is the memory of its queued answers' arrays beyond what they have still
	// to send.
	beyond uint32
}

// extras hands out extras by number, from 1 on, so that client stays free of
// pointers. They are in chunks that never move: a publish that nobody reads gives
// one to each of very many clients.
type extras struct {
	chunks []*[extraChunk]extra
	free   uint32
	used   int
}

const extraChunk = 128

func (x *extras) at(n uint32) *extra { return &x.chunks[(n-1)/extraChunk][(n-1)%extraChunk] }

// of returns the client's extra, nil if it has none.
func (x *extras) of(c *client) *extra {
	if c.extra == 0 {
		return nil
	}
	return x.at(c.extra)
}

// make returns the client's extra, a new one if it has none.
func (x *extras) make(slot uint32, c *client) *extra {
	if c.extra == 0 {
		if x.free == 0 {
			first := uint32(len(x.chunks)) * extraChunk
			x.chunks = append(x.chunks, new([extraChunk]extra))
			for n := first + extraChunk; n > first; n-- {
				x.at(n).free, x.free = x.free, n
			}
		}
		c.extra = x.free
		e := x.at(c.extra)
		x.free = e.free
		x.used++
		*e = extra{slot: slot}
	}
	return x.at(c.extra)
}

// tidy gives the client's extra back if nothing is in it.
func (x *extras) tidy(c *client) {
	if e := x.of(c); e != nil && e.leftover == nil && e.call == nil && e.reach == nil && e.check == nil && e.waiting == nil && e.weight == 0 && !e.unfinished {
		*e = extra{free: x.free}
		x.free = c.extra
		c.extra = 0
		if x.used--; x.used == 0 && len(x.chunks) > 8 {
			*x = extras{} // the jam is over: give the memory back
		}
	}
}

// buffers lends memory for cut messages, in powers of two, and keeps a bounded
// amount of what comes back. What it lends grows with the bytes that arrived,
// never with a length that a client claims.
type buffers struct {
	free [maxClass + 1][][]byte
	kept int // bytes in free
}

const (
	minClass    = 7       // 128 bytes
	maxClass    = 17      // 128 KiB; larger ones are the collector's
	keptBuffers = 1 << 20 // bytes of free buffers a loop holds on to
)

func class(n int) int { return max(minClass, bits.Len(uint(n-1))) }

// get returns an empty buffer with room for n > 0 bytes.
func (b *buffers) get(n int) []byte {
	k := class(n)
	if k <= maxClass && len(b.free[k]) > 0 {
		last := len(b.free[k]) - 1
		buf := b.free[k][last]
		b.free[k][last] = nil
		b.free[k] = b.free[k][:last]
		b.kept -= cap(buf)
		return buf
	}
	return make([]byte, 0, 1<<k)
}

// put takes a buffer back; nobody may use it any more.
func (b *buffers) put(buf []byte) {
	k := class(cap(buf))
	if k > maxClass || cap(buf) != 1<<k || b.kept+cap(buf) > keptBuffers {
		return
	}
	b.kept += cap(buf)
	b.free[k] = append(b.free[k], buf[:0])
}

// join appends p, which may lie there already, to buf, which is or becomes one of
// b's.
func (b *buffers) join(buf, p []byte) []byte {
	if room := cap(buf) - len(buf); room >= len(p) {
		if room > 0 && len(p) > 0 && &buf[:len(buf)+1][len(buf)] == &p[0] {
			return buf[:len(buf)+len(p)]
		}
		return append(buf, p...)
	}
	grown := b.get(len(buf) + len(p))
	grown = append(append(grown, buf...), p...)
	b.put(buf)
	return grown
}
