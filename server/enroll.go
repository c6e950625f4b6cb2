package server

import (
	"encoding/binary"
	"errors"

	"wsd/dispatch"
	"wsd/topic"
)

var le = binary.LittleEndian

// tokenHash is what a token's id goes by, in every process (FNV-1a): 0 if there is
// none. Only the issuer of tokens chooses ids.
func tokenHash(id string) uint64 {
	if id == "" {
		return 0
	}
	h := uint64(14695981039346656037)
	for i := range len(id) {
		h = (h ^ uint64(id[i])) * 1099511628211
	}
	return max(h, 1)
}

// Why an identity that was proved is not taken after all.
const (
	errRevoked    refusalReason = "token revoked"
	errUserLimit  refusalReason = "too many connections of this user"
	errUserName   refusalReason = "the user's name is too long"
	errUserTopics refusalReason = "the token's topics are not possible here"
)

// refusalReason is an error that its client may read.
type refusalReason string

func (r refusalReason) Error() string { return string(r) }

// enroll makes a client one that the server knows. It is joining, or open and not
// known yet. total is how many clients its user has at this node, with it.
func (l *loop) enroll(slot uint32, c *client, who *Identity) (total int, err error) {
	if len(who.Subject) > MaxUser {
		return 0, errUserName
	}
	id := l.idents.make(slot)
	total, ok := l.addUser(slot, id, who.Subject, l.server.refuseBeyond(who))
	if !ok {
		return total, errUserLimit
	}
	c.set(flagKnown)
	l.fill(id, who)
	// From here on a revocation finds the client; one that was earlier is found here.
	if l.server.revocations.covers(who) {
		l.disown(slot, c)
		return total, errRevoked
	}
	if len(who.Topics) > 0 {
		if err := l.subscribe(slot, c, who.Topics, true); err != nil {
			l.disown(slot, c)
			return total, errUserTopics
		}
	}
	l.server.closeBeyond(who)
	return total, nil
}

// fill writes down what a token says beside the user.
func (l *loop) fill(id *ident, who *Identity) {
	id.token, id.issued, id.expires = tokenHash(who.TokenID), seconds(who.Issued), seconds(who.Expires)
	if id.grants &= identWarn; len(who.Subscribe)+len(who.Publish)+len(who.Actions) > 0 || who.Fanout { // most have none
		id.grants |= l.grants.add(grantsOf(who))
	}
}

// addUser enters the client into the lists of its user, unless that has limit clients.
// total is how many there are then.
func (l *loop) addUser(slot uint32, id *ident, name string, limit int) (total int, ok bool) {
	if name == "" {
		return 0, true
	}
	before, total, ok := l.server.users.enter(l.server.users.hash(name), l.number, slot, limit)
	if !ok {
		return total, false
	}
	id.next = before
	if before != 0 {
		first := l.idents.at(before - 1)
		first.prev = slot + 1
		if string(l.names.of(first.user)) == name && l.names.share(first.user) {
			id.user = first.user
			return total, true
		}
	}
	id.user = l.names.add(name)
	return total, true
}

// disown makes a client one that the server does not know.
func (l *loop) disown(slot uint32, c *client) {
	if !c.is(flagKnown) {
		return
	}
	c.clear(flagKnown)
	id := l.idents.at(slot)
	l.grants.drop(id.grants)
	if id.user != 0 {
		l.server.users.leave(l.server.users.hashOf(l.names.of(id.user)), l.number, slot, id.next)
		if id.next != 0 {
			l.idents.at(id.next - 1).prev = id.prev
		}
		if id.prev != 0 {
			l.idents.at(id.prev - 1).next = id.next
		}
		l.names.drop(id.user)
	}
	*id = ident{}
}

// identity is what is known of a client, nil if it is not known. Its topics are those
// it has, and TokenID is not kept.
func (l *loop) identity(slot uint32, c *client) *Identity {
	if !c.is(flagKnown) {
		return nil
	}
	id := l.idents.at(slot)
	g := l.grants.at(id.grants)
	who := &Identity{Issued: timeOf(id.issued), Expires: timeOf(id.expires), Subscribe: g.Subscribe, Publish: g.Publish,
		Actions: g.Actions, Fanout: g.Fanout}
	if id.user != 0 {
		who.Subject = string(l.names.of(id.user))
	}
	return who
}

// reidentify is the action auth: a client proves again who it is, or for the first
// time.
func (l *loop) reidentify(slot uint32, c *client, v any) error {
	who := identityOf(v)
	switch {
	case who == nil || c.state != stateOpen:
		return &dispatch.Error{Code: dispatch.PermissionDenied}
	case l.server.revocations.covers(who):
		l.count.auth[authRevoked]++
		return dispatch.ErrTokenInvalid
	case !c.is(flagKnown):
		return l.identifyLate(slot, c, who)
	}
	id := l.idents.at(slot)
	same := who.Subject == ""
	if id.user != 0 {
		same = string(l.names.of(id.user)) == who.Subject
	}
	if !same {
		l.count.auth[authForbidden]++
		return &dispatch.Error{Code: dispatch.PermissionDenied, Msg: "the token is another user's"}
	}
	if len(who.Topics) > 0 {
		if err := l.subscribe(slot, c, who.Topics, true); err != nil {
			l.count.auth[authForbidden]++
			return err
		}
	}
	l.grants.drop(id.grants)
	id.grants &= identWarn
	l.fill(id, who)
	l.count.auth[authProlonged]++
	l.replan(slot, c)
	return nil
}

// identifyLate is for a client that came without a token.
func (l *loop) identifyLate(slot uint32, c *client, who *Identity) error {
	if !l.server.auth.message {
		l.count.auth[authForbidden]++
		return &dispatch.Error{Code: dispatch.PermissionDenied, Msg: "a token has to come with the handshake"}
	}
	total, err := l.enroll(slot, c, who)
	if err != nil {
		l.count.auth[resultOf(err)]++
		if errors.Is(err, errRevoked) {
			return dispatch.ErrTokenInvalid
		}
		return &dispatch.Error{Code: dispatch.PermissionDenied, Msg: err.Error()}
	}
	c.clear(flagUnproven)
	l.count.auth[authOK]++
	l.replan(slot, c)
	l.countLate(slot, c, who, total)
	return nil
}

// replan has the client looked at in time for a limit that has changed.
func (l *loop) replan(slot uint32, c *client) {
	if _, at := l.nextLimit(slot, c); !l.planned(c, at) {
		l.plan(slot, c, at)
	}
}

// mayDo says whether a client may ask for an action. It is for servers that guard
// actions.
func (l *loop) mayDo(c *client, a *dispatch.Action) dispatch.Code {
	if c.is(flagUnproven) && a.Name != dispatch.AuthAction {
		return dispatch.TokenEmpty
	}
	if open := l.server.auth.open; open == nil || open[a.Index] {
		return dispatch.OK
	}
	if c.is(flagKnown) && allows(l.grants.at(l.idents.at(l.feeding.slot).grants).Actions, a.Name) {
		return dispatch.OK
	}
	return dispatch.PermissionDenied
}

// mayFanOutAs says whether what is known of the client lets it address others.
func (l *loop) mayFanOutAs(slot uint32, c *client) bool {
	return c.is(flagKnown) && l.grants.at(l.idents.at(slot).grants).Fanout
}

// maySubscribe says whether everybody, or this client, may have a topic.
func (l *loop) maySubscribe(slot uint32, c *client, name string) bool {
	return topic.Allowed(l.server.cfg.Topics, name) ||
		c.is(flagKnown) && allows(l.grants.at(l.idents.at(slot).grants).Subscribe, name)
}
