package cluster

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"wsd/server"
)

// Client looks one up, at whatever node it is, which is returned.
func (n *Node) Client(ctx context.Context, id uuid.UUID) (info server.ClientInfo, node string, found bool, reach server.Reach) {
	if info, found = n.server.Client(ctx, id); found {
		return info, n.name, true, server.Reach{Complete: true, Nodes: 1}
	}
	to := n.owners(id)
	answers, o := n.ask(ctx, to, question{What: askClient, Client: id}, askWithin)
	for _, r := range answers {
		if r.Found && r.Client != nil {
			return *r.Client, r.peer.name, true, server.Reach{Complete: true, Nodes: 1}
		}
	}
	return info, "", false, n.reach(o, 1+len(answers))
}

// CloseClient closes one, at whatever node it is.
func (n *Node) CloseClient(ctx context.Context, id uuid.UUID, code int, reason string) (found bool, reach server.Reach) {
	if n.server.CloseClient(ctx, id, code, reason) {
		return true, server.Reach{Complete: true, Nodes: 1}
	}
	answers, o := n.ask(ctx, n.owners(id), question{What: askClose, Client: id, Code: code, Reason: reason}, askWithin)
	for _, r := range answers {
		if r.Found {
			return true, server.Reach{Complete: true, Nodes: 1}
		}
	}
	return false, n.reach(o, 1+len(answers))
}

// withTopic are the peers that may have subscribers of a topic.
func (n *Node) withTopic(topic string) (list []*peer) {
	for _, p := range n.members.all() {
		if n.wants(p, []string{topic}) {
			list = append(list, p)
		}
	}
	return list
}

// CloseTopic closes a topic's subscribers on all nodes, and counts them.
func (n *Node) CloseTopic(ctx context.Context, topic string, code int, reason string) (closed int, reach server.Reach, err error) {
	here := func() (int, error) { return n.server.CloseTopic(ctx, topic, code, reason) }
	return n.closeAll(ctx, n.withTopic(topic), question{What: askCloseTopic, Topic: topic, Code: code, Reason: reason}, here)
}

// CloseUser closes a user's clients on all nodes, and counts them.
func (n *Node) CloseUser(ctx context.Context, user string, code int, reason string) (closed int, reach server.Reach, err error) {
	here := func() (int, error) { return n.server.CloseUser(ctx, user, code, reason) }
	return n.closeAll(ctx, n.members.all(), question{What: askCloseUser, User: user, Code: code, Reason: reason}, here)
}

// closeAll closes here and at some peers at once.
func (n *Node) closeAll(ctx context.Context, to []*peer, q question, here func() (int, error)) (closed int, reach server.Reach, err error) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		closed, err = here()
	}()
	answers, o := n.ask(ctx, to, q, closeWithin)
	<-done
	answers = o.failures(answers)
	for _, r := range answers {
		closed += r.Count
	}
	return closed, n.reach(o, 1+len(n.members.all())-len(to)+len(answers)), err
}

// UserClients lists up to limit clients of a user, those here first.
func (n *Node) UserClients(ctx context.Context, user string, limit int) (list []server.ClientInfo, reach server.Reach, err error) {
	if list, err = n.server.UserClients(ctx, user, limit); err != nil {
		return nil, reach, err
	}
	answers, o := n.ask(ctx, n.members.all(), question{What: askUser, User: user, Limit: limit}, askWithin)
	answers = o.failures(answers)
	for _, r := range answers {
		list = append(list, r.List...)
	}
	return list[:min(len(list), limit)], n.reach(o, 1+len(answers)), nil
}

// failures takes those answers out that are errors, and has their nodes be missing.
func (o *outcome) failures(answers []*reply) []*reply {
	return slices.DeleteFunc(answers, func(r *reply) bool {
		if r.Error != "" {
			o.miss(r.peer, whyNoAnswer)
		}
		return r.Error != ""
	})
}

// Topic counts a topic's subscribers, by node. It is exact when complete.
func (n *Node) Topic(ctx context.Context, topic string) (clients int, byNode map[string]int, reach server.Reach, err error) {
	byNode = map[string]int{}
	if clients, err = n.server.Subscribers(ctx, topic); err != nil {
		return 0, nil, reach, err
	}
	byNode[n.name] = clients
	to := n.withTopic(topic)
	answers, o := n.ask(ctx, to, question{What: askTopic, Topic: topic}, askWithin)
	answers = o.failures(answers)
	for _, r := range answers {
		byNode[r.peer.name] += r.Count
		clients += r.Count
	}
	for _, p := range n.members.all() {
		if _, there := byNode[p.name]; !there && !slices.Contains(to, p) {
			byNode[p.name] = 0
		}
	}
	return clients, byNode, n.reach(o, len(byNode)), nil
}

// Clients lists clients, node after node, by name. The cursor is that of the node,
// behind its name and a slash. only is the one node that is asked; "" is all. A node
// that does not answer is passed over, and named.
func (n *Node) Clients(ctx context.Context, cursor string, limit int, only string) (list []server.ClientInfo, next string, reach server.Reach, err error) {
	names := n.names()
	at, rest, inside := strings.Cut(cursor, "/")
	if cursor == "" {
		if at = names[0]; only != "" {
			at = only
		}
	} else if !inside || !nameForm.MatchString(at) {
		return nil, "", reach, server.ErrCursor
	}
	o := &outcome{n: n}
	asked := 1
	switch p := n.named(at); {
	case at == n.name:
		list, next, err = n.server.Clients(ctx, rest, limit)
	case p == nil:
		o.missing = append(o.missing, server.Missing{Node: at, Why: whyGone, Since: n.since})
	default:
		var answers []*reply
		answers, o = n.ask(ctx, []*peer{p}, question{What: askClients, Cursor: rest, Limit: limit}, askWithin)
		if asked = len(answers); asked > 0 {
			list, next = answers[0].List, answers[0].Next
			if answers[0].Error == server.ErrCursor.Error() {
				err = server.ErrCursor
			}
		}
	}
	if err != nil {
		return nil, "", reach, err
	}
	if next != "" {
		next = at + "/" + next
	} else if i, _ := slices.BinarySearch(names, at+"\x00"); only == "" && i < len(names) {
		next = names[i] + "/"
	}
	return list, next, n.reach(o, asked), nil
}

// names are those of all nodes, sorted.
func (n *Node) names() []string {
	list := []string{n.name}
	for _, p := range n.members.all() {
		list = append(list, p.name)
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// named returns the peer of that name, one that is there if there are several.
func (n *Node) named(name string) (found *peer) {
	for _, p := range n.members.all() {
		if p.name == name && (found == nil || n.standing(p) < n.standing(found)) {
			found = p
		}
	}
	return found
}

// Stats are the totals of each node, as JSON, by name.
func (n *Node) Stats(ctx context.Context) (byNode map[string]json.RawMessage, reach server.Reach) {
	own, err := json.Marshal(n.server.Stats())
	if err != nil {
		panic(err) // it is our own struct
	}
	byNode = map[string]json.RawMessage{n.name: own}
	answers, o := n.ask(ctx, n.members.all(), question{What: askStats}, askWithin+2*time.Second)
	for _, r := range o.failures(answers) {
		byNode[r.peer.name] = r.Stats
	}
	return byNode, n.reach(o, len(byNode))
}
