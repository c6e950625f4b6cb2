package cluster

import "sync/atomic"

// counts are what the node counts, from its start.
type counts struct {
	topics      atomic.Int64  // that have subscribers here
	disconnects atomic.Uint64 // from NATS
	unknown     atomic.Uint64 // messages of a version or kind that is not known here, or garbled
	stale       atomic.Uint64 // publishes that came after younger ones of their node, or twice
	dropped     atomic.Uint64 // publishes of others, and what clients say, for want of room here
	untold      atomic.Uint64 // times that what a client said did not go to a node
	refused     atomic.Uint64 // messages over NATS that were wrong, and nobody waited for the answer
	late        atomic.Uint64 // subscribes that were answered before all others knew
	uncounted   atomic.Uint64 // times that a user's limit was looked at without the clients of all nodes
	sameName    atomic.Uint64 // heartbeats of another node with this one's name

	noAnswer, behind, moving, gone, partitioned atomic.Uint64 // answers of others that did not come
}

func (c *counts) missing(why string) {
	switch why {
	case whyNoAnswer:
		c.noAnswer.Add(1)
	case whyBehind:
		c.behind.Add(1)
	case whyMoving:
		c.moving.Add(1)
	case whyGone:
		c.gone.Add(1)
	case whyPartitioned:
		c.partitioned.Add(1)
	}
}
