package server

import (
	"fmt"
	"time"

	"github.com/gobwas/ws"

	"wsd/conn"
	"wsd/dispatch"
)

const (
	// warnAhead is how long before its end a client is told of it, if it wants to be.
	warnAhead = 30 * time.Second
	// lookAhead bounds how far ahead the end of a token is planned: the wall clock,
	// which it goes by, may be set meanwhile.
	lookAhead = time.Hour
)

// authLimit is the next limit of a client that is known, or has still to prove who it
// is.
func (l *loop) authLimit(slot uint32, c *client) (which limit, at uint32) {
	if c.is(flagUnproven) {
		return proofLimit, l.ticksSince(c) + l.timeout(l.server.cfg.AuthTimeout)
	}
	id := l.idents.at(slot)
	if id.expires == 0 {
		return noLimit, 0
	}
	which, left := expiryLimit, l.server.timeLeft(c, id)
	if id.grants&identWarn != 0 && id.grants&identWarned == 0 {
		which, left = warningLimit, left-warnAhead
	}
	if left <= 0 {
		return which, l.wheel.now
	}
	return which, l.wheel.now + l.timeout(min(left, lookAhead))
}

// timeLeft is how long a client may stay whose token expires. It is good for up to
// TokenLeeway longer than it says, as at the connect; each client has another part of
// that, so that those whose tokens end together do not all come back together.
func (s *Server) timeLeft(c *client, id *ident) time.Duration {
	leeway := max(s.cfg.TokenLeeway, 0)
	part := time.Duration(le.Uint16(c.id[tagAt+2:])) * (leeway >> 16) // of what is random in an id
	return time.Unix(int64(id.expires), 0).Sub(s.wall()) + part
}

// warnOfExpiry tells a client how long its token is good for.
func (l *loop) warnOfExpiry(slot uint32, c *client) {
	id := l.idents.at(slot)
	id.grants |= identWarned
	in := max(int((l.server.timeLeft(c, id)+time.Second/2)/time.Second), 0)
	l.count.n[nMessagesOut]++
	l.send(slot, c, conn.Compile(ws.OpText, fmt.Appendf(nil, `{"actioncode":"token_expires","data":{"in":%d}}`, in)))
	if c.state == stateOpen {
		_, at := l.nextLimit(slot, c)
		l.plan(slot, c, at)
	}
}

// unproven says whether a client that had to prove who it is has failed to, by the
// request that was answered last. held: it has not been answered.
func (l *loop) unproven(c *client, held bool) bool {
	if held || !c.is(flagUnproven) || string(l.feeding.env.Action) != dispatch.AuthAction {
		return false
	}
	switch l.feeding.code {
	case dispatch.TokenEmpty, dispatch.TokenInvalid, dispatch.TokenExpired, dispatch.PermissionDenied:
		l.count.auth[resultOf(&dispatch.Error{Code: l.feeding.code})]++
		return true
	}
	return false
}

// precheck looks at a request's token before its action does, if there are
// revocations, of which package dispatch knows nothing.
func (s *Server) precheck(a *dispatch.Action, ctx *dispatch.Context) {
	if a.NeedsToken && s.revocations.count.Load() > 0 && len(ctx.Envelope.Token) > 0 {
		ctx.Checked(s.identify(ctx))
	}
}
