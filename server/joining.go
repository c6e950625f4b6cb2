package server

// reception is what settle makes of a newcomer.
type reception uint8

const (
	letIn    reception = iota // answered by 101
	toClose                   // answered by 101, and closed
	rejected                  // answered by an HTTP error
	awaiting                  // for the other nodes
)

// settle takes a newcomer in by what identify said, or not. why is set for those who
// are turned away or refused.
func (l *loop) settle(slot uint32, c *client, who *Identity, err error) (v reception, why error) {
	s := l.server
	switch {
	case err != nil, who == nil:
	case !c.is(flagKnown):
		total := 0
		if total, err = l.enroll(slot, c, who); err == nil && l.awaitOthers(slot, c, who, total) {
			return awaiting, nil
		}
	case s.revocations.covers(who): // it was enrolled before, and has waited since
		err = errRevoked
	}
	switch {
	case err != nil:
		l.unenroll(slot, c)
		l.count.auth[resultOf(err)]++
		if s.auth.close && resultOf(err) != authBusy {
			return toClose, err
		}
		return rejected, err
	case who != nil:
		l.count.auth[authOK]++
		if warn, _ := l.req.QueryValue("token_expires"); string(warn) == "warn" {
			l.idents.at(slot).grants |= identWarn
		}
	case s.auth.required:
		c.set(flagUnproven)
	default:
		l.count.auth[authAnonymous]++
	}
	return letIn, nil
}

// In a cluster, a newcomer whom the server knows may have to wait for the other nodes
// before its handshake is answered: until they know of its token's topics, so that it
// gets what is published there afterwards; and, with RefuseNew, until they have told
// how many clients its user has there.
//
// It is enrolled meanwhile. So of two newcomers of a user, at whatever nodes, one at
// least counts the other, and no more than the limit come in while all nodes answer.
// But for that nobody finds it before it is open.

// awaitOthers has a newcomer who has just been enrolled wait, if it has to. total is
// how many clients its user has at this node.
func (l *loop) awaitOthers(slot uint32, c *client, who *Identity, total int) bool {
	s := l.server
	limit := s.refuseBeyond(who)
	if s.cluster == nil || limit == 0 && len(who.Topics) == 0 {
		return false
	}
	k := &newcomerCheck{loop: l, slot: slot, gen: c.generation, who: who}
	r := &reaching{slot: slot, newcomer: k}
	if limit > 0 && s.cluster.CountUser(who.Subject, func(elsewhere int) { l.post(func(l *loop) { l.heardOf(r, total+elsewhere, limit) }) }) {
		k.waits++
	}
	if len(who.Topics) > 0 && !s.cluster.Reached(who.Topics, func() { l.post(func(l *loop) { l.heardOf(r, 0, 0) }) }) {
		k.waits++
	}
	if k.waits == 0 {
		return false
	}
	l.extras.make(slot, c).check = k
	l.reaching = append(l.reaching, r)
	return true
}

// heardOf is for one of the answers that a newcomer waits for: its user has total
// clients over all nodes.
func (l *loop) heardOf(r *reaching, total, limit int) {
	k := r.newcomer
	if total > limit {
		k.err = errUserLimit
	}
	if k.waits--; k.waits == 0 || k.err != nil {
		l.answerReached(r)
	}
}

// goOnNewcomer answers the handshake that has waited.
func (l *loop) goOnNewcomer(k *newcomerCheck) {
	if c := k.current(l); c != nil {
		k.put = true
		l.goOnJoining(k.slot, c)
	}
}

// countLate is awaitOthers for a client that has proved by a message who it is, and is
// open already: if it is one too many, it is turned away afterwards.
func (l *loop) countLate(slot uint32, c *client, who *Identity, total int) {
	s := l.server
	limit, gen := s.refuseBeyond(who), c.generation
	if s.cluster == nil || limit == 0 {
		return
	}
	s.cluster.CountUser(who.Subject, func(elsewhere int) {
		if total+elsewhere <= limit {
			return
		}
		l.post(func(l *loop) {
			if c := l.clients.at(slot); c.generation == gen && c.state == stateOpen {
				l.count.auth[authUserLimit]++
				l.turnAway(slot, c, errUserLimit)
			}
		})
	})
}

// unenroll undoes enroll.
func (l *loop) unenroll(slot uint32, c *client) {
	l.disown(slot, c)
	if c.is(flagSubscribed) {
		l.topics.Leave(slot)
		c.clear(flagSubscribed)
	}
}
