package cluster

import (
	"time"

	"wsd/server"
)

// mostNamed bounds the nodes that figures tell of by name.
const mostNamed = 64

// Totals are what the node counts.
func (n *Node) Totals() server.ClusterStats {
	c := &n.count
	s := server.ClusterStats{
		Connected: n.connected(),
		Nodes:     map[string]int{"suspect": 0, "dead": 0},
		Missing: map[string]uint64{whyNoAnswer: c.noAnswer.Load(), whyBehind: c.behind.Load(), whyMoving: c.moving.Load(),
			whyGone: c.gone.Load(), whyPartitioned: c.partitioned.Load()},
		Late: c.late.Load(), Stale: c.stale.Load(), Unknown: c.unknown.Load(), Dropped: c.dropped.Load(), Untold: c.untold.Load(), Refused: c.refused.Load(),
		Disconnects: c.disconnects.Load(), SameName: c.sameName.Load(), Uncounted: c.uncounted.Load(),
		UnderWay: n.reports.under(), Awaited: n.requests.count(), Keys: n.keys.count(), RTT: map[string]float64{},
	}
	s.BehindMessages, s.BehindBytes = n.inbox.behind()
	for _, name := range stateNames[:stateGone] {
		s.Nodes[name] = 0
	}
	for _, p := range n.members.all() {
		switch st := n.standing(p); st {
		case dead:
			s.Nodes["dead"]++
		case suspect:
			s.Nodes["suspect"]++
		default:
			s.Nodes[stateNames[p.state.Load()]]++
		}
		if len(s.RTT) < mostNamed {
			s.RTT[p.name] = time.Duration(p.rtt.Load()).Seconds()
		}
	}
	return s
}

func (q *requests) count() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.of)
}

func (k *keys) count() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return len(k.of)
}
