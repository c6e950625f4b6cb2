package server

import (
	"time"

	"wsd/handoff"
)

// Who a client is, in a handover. The token itself is not there: what it said is.

// recordIdentity writes down what is known of a client.
func (l *loop) recordIdentity(slot uint32, c *client, r *handoff.Client) {
	if r.Unproven = c.is(flagUnproven); r.Unproven {
		return
	}
	id := l.idents.at(slot)
	r.Known, r.Token, r.Issued = true, id.token, int64(id.issued)
	r.WarnExpiry = id.grants&identWarn != 0
	if id.user != 0 {
		r.User = string(l.names.of(id.user))
	}
	if id.expires != 0 {
		r.Expires = handoff.LeftUntil(int64(id.expires)*int64(time.Second), l.server.wall().UnixNano())
	}
	if g := l.grants.at(id.grants); !g.empty() {
		r.Grants = g.append(nil)
	}
}

// restoreIdentity is enroll for a client that was taken in before: no limit is asked.
func (l *loop) restoreIdentity(slot uint32, c *client, r *handoff.Client) error {
	if r.Unproven {
		c.set(flagUnproven)
	}
	if !r.Known {
		return nil
	}
	id := l.idents.make(slot)
	if _, ok := l.addUser(slot, id, r.User, 0); !ok {
		return garbled("too many clients of one user")
	}
	c.set(flagKnown)
	id.token, id.issued = r.Token, uint32(r.Issued)
	if r.Expires != 0 {
		id.expires = seconds(l.server.wall().Add(time.Duration(r.Expires)).Round(time.Second))
	}
	if len(r.Grants) > 0 {
		g, ok := readGrants(r.Grants)
		if !ok {
			return garbled("what a client may")
		}
		id.grants = l.grants.add(g)
	}
	if r.WarnExpiry {
		id.grants |= identWarn
	}
	return nil
}
