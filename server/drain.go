package server

import (
	"math"

	"github.com/gobwas/ws"
)

// drain is a loop's part of a graceful stop: its clients are closed a few per
// tick, so that neither the kernel nor whoever they turn to next gets all of
// them in one moment.
type drain struct {
	on   bool
	code ws.StatusCode
	text string
	next uint32 // slot to go on at
	end  uint32 // tick from which on all are closed
	// quota is how many are still to be closed in this tick. Once the end has come
	// it has no bound.
	quota int64
	last  bool // the end has come
}

// drainSlice is how many clients are closed in one turn, and drainLook how many
// slots are looked at for that.
const (
	drainSlice = 256
	drainLook  = 4096
)

// beginDrain starts closing the loop's clients.
func (l *loop) beginDrain(code ws.StatusCode, text string) {
	if a := l.accept; a != nil {
		a.sweeping, a.backoffUntil = true, 0
	}
	l.drain = drain{on: true, code: code, text: text, end: l.wheel.now}
	if d := l.server.cfg.DrainTime; d > 0 {
		l.drain.end += l.ticks(d)
	}
	l.drainTick()
}

// drainTick sets the present tick's share: the clients that are left, divided
// by the ticks that are left. When time is over it is all of them, and those
// whose handshake is not done. That is repeated: some may come in behind.
func (l *loop) drainTick() {
	d := &l.drain
	switch {
	case !d.on:
	case before(l.wheel.now, d.end):
		d.quota = l.count.states[stateOpen]/int64(d.end-l.wheel.now) + 1
	case !d.last || d.quota == 0:
		d.last, d.next, d.quota = true, 0, math.MaxInt64
	}
}

// drainOn closes up to n clients of the tick's share.
func (l *loop) drainOn(n int) {
	d := &l.drain
	for looks := drainLook; d.quota > 0 && n > 0 && looks > 0; looks-- {
		if d.next == l.clients.size() {
			d.quota = 0
			return
		}
		slot := d.next
		d.next++
		switch c := l.clients.at(slot); {
		case c.state == stateOpen:
			l.close(slot, c, ReasonShutdown, d.code, d.text)
		case d.last && (c.state == stateJoining || c.state == stateRefused):
			l.reject(slot, c, l.withLeftover(c, nil), ReasonRefused, l.server.later())
		default:
			continue
		}
		d.quota--
		n--
	}
}

// shut closes the loop's inbox. What was posted before still runs, since it may
// bring a newcomer with its descriptor; that one is ended like all others.
func (l *loop) shut() {
	l.inbox.mu.Lock()
	l.inbox.closed = true
	l.inbox.mu.Unlock()
	l.takeInbox()
	l.end()
	l.reap()
	l.walks, l.fans = nil, nil // their publishers are told by Server.ended
}

// end kills whoever is left; the loop is over after this turn.
func (l *loop) end() {
	for a := l.accept; l.accept != nil; { // who is in the queue is cut off, below
		a.backoffUntil = 0
		a.sweep(l)
	}
	for slot := range l.clients.size() {
		if c := l.clients.at(slot); c.state != stateFree {
			l.kill(slot, c, ReasonShutdown)
		}
	}
	l.stopped = true
}
