package cluster

import (
	"cmp"
	"context"
	"slices"
	"time"

	"wsd/server"
)

// Revocations are the same at all nodes. Whoever takes one tells the others, and the
// answer says who was not told. Two nodes that meet, because one has come or is back
// after a cut, learn each other's. So does who was not told, later; but one that was
// taken back comes back with a node that was not told of that.

// Revoke is server.Revoke at all nodes, and counts who was closed.
func (n *Node) Revoke(ctx context.Context, r server.Revocation) (closed int, reach server.Reach, err error) {
	here := func() (int, error) { return n.server.Revoke(ctx, r) }
	return n.closeAll(ctx, n.members.all(), question{What: askRevoke, Revocation: r}, here)
}

// Unrevoke is server.Unrevoke at all nodes.
func (n *Node) Unrevoke(ctx context.Context, user, token string) (found bool, reach server.Reach) {
	found = n.server.Unrevoke(user, token)
	answers, o := n.ask(ctx, n.members.all(), question{What: askUnrevoke, User: user, Token: token}, askWithin)
	answers = o.failures(answers)
	for _, r := range answers {
		found = found || r.Found
	}
	return found, n.reach(o, 1+len(answers))
}

const (
	// revocationsAt is how many are told at a time, and revocationBytes how many bytes
	// of names: an answer has to fit into a message of NATS, and most ids are short.
	revocationsAt   = 1000
	revocationBytes = 64 << 10
	// learnTries is how often a node is asked that does not answer.
	learnTries = 5
)

// byName is the order in which a server lists revocations.
func byName(a, b server.Revocation) int {
	return cmp.Or(cmp.Compare(a.Token, b.Token), cmp.Compare(a.User, b.User))
}

func named(r server.Revocation) server.Revocation {
	return server.Revocation{User: r.User, Token: r.Token}
}

// covers says that b adds nothing to a, which is for the same user or token.
func covers(a, b server.Revocation) bool {
	return !b.IssuedBefore.After(a.IssuedBefore) && (a.Until.IsZero() || !b.Until.IsZero() && !b.Until.After(a.Until))
}

// revocations are those behind one, as many as an answer takes.
func (n *Node) revocations(after server.Revocation) []server.Revocation {
	all := n.server.Revocations()
	i, _ := slices.BinarySearchFunc(all, after, byName)
	if i < len(all) && byName(all[i], after) == 0 {
		i++
	}
	all = all[i:]
	size := 0
	for i, r := range all {
		if size += len(r.User) + len(r.Token); i == revocationsAt || i > 0 && size > revocationBytes {
			return all[:i]
		}
	}
	return all
}

// learn has this node know the revocations of another. What it knows already is left
// out.
func (n *Node) learn(p *peer) {
	var last server.Revocation
	own := map[server.Revocation]server.Revocation{} // by name alone
	for _, r := range n.server.Revocations() {
		own[named(r)] = r
	}
	for failed := 0; failed < learnTries && n.alive().Err() == nil; {
		answers, o := n.ask(n.alive(), []*peer{p}, question{What: askRevocations, Revocation: last}, askWithin)
		answers = o.failures(answers)
		if len(answers) == 0 {
			failed++
			wait(n.alive(), time.Second)
			continue
		}
		list := answers[0].Revocations
		if len(list) == 0 {
			return
		}
		last = list[len(list)-1]
		list = slices.DeleteFunc(list, func(r server.Revocation) bool {
			known, there := own[named(r)]
			return there && covers(known, r)
		})
		if len(list) == 0 {
			continue
		}
		if _, err := n.server.RevokeAll(n.alive(), list); err != nil {
			n.log.Warn("the revocations of another node are not taken", "node", p.name, "error", err)
			return
		}
	}
	if n.alive().Err() == nil {
		n.log.Warn("the revocations of a node are not known: it does not answer", "node", p.name)
	}
}
