package cluster

import (
	"context"
	"slices"
	"strings"
	"time"

	"wsd/server"
)

// Self is the node's name.
func (n *Node) Self() string { return n.name }

// Connected says whether other nodes can be reached at all.
func (n *Node) Connected() bool { return n.connected() }

// Nodes are all that are known, by name. Those that are not heard of are in what is
// said of the reach, too.
func (n *Node) Nodes(ctx context.Context) ([]server.NodeInfo, server.Reach) {
	n.measure(ctx)
	messages, bytes := n.inbox.behind()
	self := server.NodeInfo{Node: n.name, State: stateNames[n.state.Load()], Version: n.cfg.Version, Since: n.since.UTC(),
		Clients: n.server.Connected(), Topics: int(n.count.topics.Load()), BehindMessages: messages, BehindBytes: bytes, NATS: n.natsKind()}
	list := []server.NodeInfo{self}
	o := &outcome{n: n}
	for _, p := range n.members.all() {
		h := p.told.Load()
		if h == nil {
			continue
		}
		in := server.NodeInfo{Node: p.name, State: stateNames[p.state.Load()], Version: h.Version, Since: h.Since.UTC(), Clients: h.Clients,
			Topics: h.Topics, RTT: time.Duration(p.rtt.Load()).Seconds(), BehindMessages: h.Behind, BehindBytes: h.BehindBytes, NATS: h.NATS}
		switch st := n.standing(p); {
		case !n.connected():
			o.miss(p, whyPartitioned)
		case st == dead:
			in.State = "dead"
			o.miss(p, whyGone)
		case st == suspect:
			in.State = "suspect"
			o.miss(p, whyNoAnswer)
		}
		list = append(list, in)
	}
	n.missUnknown(o)
	slices.SortFunc(list, func(a, b server.NodeInfo) int { return strings.Compare(a.Node, b.Node) })
	missing := append([]server.Missing{}, o.missing...)
	return list, server.Reach{Complete: len(missing) == 0, Nodes: len(list) - len(missing), Missing: missing}
}

func (n *Node) natsKind() string {
	if n.link.embed != nil {
		return "embedded"
	}
	return "external"
}
