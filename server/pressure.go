package server

// When the queues of all clients together are full, it is not whoever comes
// next that has to go: a client whose socket was full for a moment is well.
// Those who hold the most, of this loop, make room for those who hold less.

const (
	// pressureLooks is how many clients with a queue are compared for one
	// message, each time others: any number of them costs a turn the same.
	pressureLooks = 64
	// pressureVictims is how many may have to make room for one message.
	pressureVictims = 4
)

// relieve makes room for size more bytes of the client, if only the total stands
// in the way, and says whether there is.
func (l *loop) relieve(c *client, size int) bool {
	for range pressureVictims {
		if l.fits(c, size) {
			return true
		}
		if !l.fitsAlone(c, size) || !l.ease(c, size) {
			return false
		}
	}
	return l.fits(c, size)
}

// ease has the heaviest client that was found make room, by the policy. false:
// none holds more than this one would.
func (l *loop) ease(c *client, size int) bool {
	slot, heaviest := l.heaviest(int(c.pending) + size + nodeCost)
	if heaviest == nil {
		return false
	}
	policy := l.server.cfg.SlowConsumer
	if policy == CloseSlow {
		l.closeSlow(slot, heaviest)
		return true
	}
	n := l.dropNodes(heaviest, func(_ uint32, nd *node) verdict {
		if l.server.pending.Load()+int64(size+nodeCost) <= l.server.cfg.PendingTotal {
			return keepRest
		}
		return dropIf(nd.drop)
	})
	l.count.dropped[policy] += uint64(n)
	l.count.n[nEvicted] += uint64(n)
	return n > 0
}

// heaviest is the open client with the most bytes waiting, of those it looks at,
// and nil if none has more than so many.
func (l *loop) heaviest(most int) (slot uint32, heaviest *client) {
	for range min(pressureLooks, len(l.slow.stuck)) {
		if l.slow.compared++; l.slow.compared >= len(l.slow.stuck) {
			l.slow.compared = 0
		}
		at := l.slow.stuck[l.slow.compared]
		if c := l.clients.at(at); c.is(flagStuck) && c.state == stateOpen && int(c.pending) > most {
			slot, heaviest, most = at, c, int(c.pending)
		}
	}
	return slot, heaviest
}
