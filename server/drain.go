package server

import "github.com/gobwas/ws"

// drain is a loop's part of a graceful stop: its clients are closed a few per
// tick, so that neither the kernel nor whoever they turn to next gets all of
// them in one moment.
type drain struct {
	on   bool
	code ws.StatusCode
	text string
	next uint32 // slot to go on at
	end  uint32 // tick by which all are closed
}

// beginDrain starts closing the loop's clients.
func (l *loop) beginDrain(code ws.StatusCode, text string) {
	if l.accept != nil {
		l.accept.stop(l)
	}
	l.drain = drain{on: true, code: code, text: text, end: l.wheel.now}
	if d := l.server.cfg.DrainTime; d > 0 {
		l.drain.end += l.ticks(d)
	}
	l.drainSome()
}

// drainSome closes the present tick's share: the clients that are left,
// divided by the ticks that are left. When time is over, all of them.
func (l *loop) drainSome() {
	if !l.drain.on {
		return
	}
	left := l.count.states[stateOpen]
	if l.wheel.now < l.drain.end {
		left = left/int64(l.drain.end-l.wheel.now) + 1
	} else {
		l.drain.next = 0 // and those that slipped in behind
	}
	for size := l.clients.size(); left > 0 && l.drain.next < size; l.drain.next++ {
		slot := l.drain.next
		if c := l.clients.at(slot); c.state == stateOpen {
			l.close(slot, c, ReasonShutdown, l.drain.code, l.drain.text)
			left--
		}
	}
	if l.wheel.now >= l.drain.end {
		l.refuseJoining()
	}
}

// refuseJoining tells those whose handshake is still not whole.
func (l *loop) refuseJoining() {
	for slot := range l.clients.size() {
		if c := l.clients.at(slot); c.state == stateJoining || c.state == stateRefused {
			l.reject(slot, c, ReasonRefused, l.server.later())
		}
	}
}

// shut closes the loop's door. What came in until now is still run, since a
// newcomer's descriptor may come with it, and whoever that brought is closed.
func (l *loop) shut() {
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	l.takeInbox()
	l.end()
	l.bury()
	l.walks = nil // their publishers are told by Server.ended
}

// end kills whoever is left; the loop is over after this turn.
func (l *loop) end() {
	if l.accept != nil {
		l.accept.stop(l)
	}
	for slot := range l.clients.size() {
		if c := l.clients.at(slot); c.state != stateFree {
			l.kill(slot, c, ReasonShutdown)
		}
	}
	l.stopped = true
}
