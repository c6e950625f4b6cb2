package server

import (
	"time"

	"wsd/conn"
)

// A turn's time is dealt out, so that nobody waits for long because of others
// who ask for much:
//
//  1. Who has sent nothing in this tick is served as its event comes, up to a
//     quantum. So are most clients always.
//  2. Everybody else waits in loop.again, first in, first out: who has sent
//     before in this tick, who had more than a quantum's work, and newcomers with
//     their handshakes. All of them together get a slice of time per turn.
//  3. Publishes get at least as long as 1 and 2 took (walkOn).
//
// A turn that finds nothing else to do costs a microsecond, so whoever is alone
// gets all of the time, a slice after the other.
const (
	// turnSlice is for all who wait in loop.again, per turn. It is what a
	// heartbeat waits for beside clients that keep the loop busy.
	turnSlice = 250 * time.Microsecond
	// leastQuantum is for one of them, when they are many.
	leastQuantum = 25 * time.Microsecond
	// unclocked is how much work is done between two looks at the clock: some
	// microseconds' worth. It is counted in bytes that come in or go out, which is
	// cheap, but tells too little of time to decide by.
	unclocked   = 8 << 10
	messageWork = 64      // of a message beside its bytes
	callWork    = 1 << 10 // of a call of an inline handler
	// framesAtOnce bounds frames that are no messages: fragments.
	framesAtOnce = 1024
)

// budget is the work that may still be done for the client being fed.
type budget struct {
	quantum int64 // nanoseconds
	until   int64 // by loop.nanos; 0: the clock was not looked at yet
	work    int   // until the next look
	spent   bool
}

// begin grants a client its quantum, among so many: to one alone as long as two
// slices, in which a whole read of small messages is done, so that no leftover has
// to be kept.
func (b *budget) begin(among int) {
	*b = budget{quantum: max(2*int64(turnSlice)/int64(max(among, 1)), int64(leastQuantum)), work: unclocked}
}

// spend counts work, and says whether the client's time is over.
func (l *loop) spend(work int) bool {
	b := &l.budget
	if b.work -= work; b.work > 0 {
		return false
	}
	b.work = unclocked
	now := l.nanos()
	if b.until == 0 { // light clients, which most are, need no clock
		b.until = now + b.quantum
	}
	b.spent = now >= b.until
	return b.spent
}

// fifo is clients that go on later, in the order in which they came.
type fifo struct {
	slots []uint32
	first int // those before have had their turn
}

func (w *fifo) len() int { return len(w.slots) - w.first }

func (w *fifo) push(slot uint32) { w.slots = append(w.slots, slot) }

// pop takes the first. The list moves up when half of it is empty: a client is
// moved once in its time there.
func (w *fifo) pop() uint32 {
	slot := w.slots[w.first]
	if w.first++; w.first >= len(w.slots)-w.first {
		w.slots, w.first = w.slots[:copy(w.slots, w.slots[w.first:])], 0
	}
	return slot
}

// readLater has the client read on after those who wait already.
func (l *loop) readLater(slot uint32, c *client) {
	if !c.is(flagAgain) {
		c.set(flagAgain)
		l.again.push(slot)
	}
}

// isFirst says whether a client that has sent something is served before those
// in loop.again.
func (l *loop) isFirst(c *client) bool { return c.state == stateOpen && c.stamp != l.wheel.now }

// lookEvery is how many clients are served between two looks at the clock.
const lookEvery = 8

// continueReading serves those who wait, each once at most, until the slice is over.
func (l *loop) continueReading() {
	todo := l.again.len()
	if todo == 0 {
		return
	}
	among, until := todo, l.nanos()+int64(turnSlice)
	for ; todo > 0; todo-- {
		slot := l.again.pop()
		c := l.clients.at(slot)
		if !c.is(flagAgain) { // its slot was freed meanwhile
			continue
		}
		c.clear(flagAgain)
		l.budget.begin(among)
		l.readOn(slot, c)
		if l.heavier {
			l.shed()
		}
		if (l.budget.until != 0 || todo%lookEvery == 0) && l.nanos() >= until {
			return
		}
	}
}

// readOn goes on with what is left of a client's bytes, and reads more once
// there is nothing.
func (l *loop) readOn(slot uint32, c *client) {
	if c.state == stateDead || l.held(c) {
		return
	}
	if (c.state == stateOpen || c.state == stateClosing) && len(l.leftover(c)) > 0 {
		l.receive(slot, c, nil)
	}
	if c.state == stateJoining && conn.HeaderEnd(l.leftover(c)) > 0 { // an older process had somebody look at its token
		l.handshake(slot, c, l.withLeftover(c, nil))
	}
	if c.is(flagReadable) && !c.is(flagAgain) && c.state != stateDead && !l.held(c) {
		l.read(slot, c)
	}
}

// walkOn moves publishes on, for at least as long as the turn has spent on what
// clients ask for: reading, in nanoseconds, and what they send to each other, for
// half as long as that.
func (l *loop) walkOn(reading int64) {
	if l.walking() == 0 {
		return
	}
	began := l.nanos()
	l.fans = l.walkUntil(l.fans, began+reading/2)
	now := l.nanos()
	l.walks = l.walkUntil(l.walks, now+reading+now-began)
}

// walkUntil moves a list of walks on until a time, a little at least.
func (l *loop) walkUntil(walks []*walk, end int64) []*walk {
	for len(walks) > 0 {
		if walks = l.walk(walks); l.nanos() >= end {
			break
		}
	}
	return walks
}

// walking is how many walks are under way.
func (l *loop) walking() int { return len(l.walks) + len(l.fans) }
