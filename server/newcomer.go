package server

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"

	"github.com/gobwas/ws"
	"github.com/google/uuid"

	"wsd/conn"
	"wsd/dispatch"
)

// The way of a newcomer who may, or has to, prove who they are:
//
//  1. identify (from handshake): the token is found in the request. What is known
//     of it, or quick to tell, is decided at once; otherwise the request is kept,
//     nothing more is read, and a worker looks (verify.go).
//  2. handshake again, with the result.
//  3. enroll (enroll.go): limits, revocations, topics. In a cluster the other nodes may
//     have to be waited for (joining.go); then the handshake comes once more.
//  4. The answer: 101; or 401, 403, 429; or 101 and a close frame (AuthRefuse).

// AuthMode says whether clients prove who they are when they connect.
type AuthMode string

const (
	// AuthOff: nobody looks for a token in a handshake.
	AuthOff AuthMode = "off"
	// AuthOptional: who brings a token is known by it, and refused if it is no good.
	AuthOptional AuthMode = "optional"
	// AuthRequired: who brings none is refused, too.
	AuthRequired AuthMode = "required"
)

// Where a token may be: values of Config.TokenFrom.
const (
	TokenHeader   = "header"   // Authorization: Bearer TOKEN
	TokenProtocol = "protocol" // a subprotocol wsd.token.TOKEN beside the client's own
	TokenQuery    = "query"    // ?token=TOKEN
	TokenMessage  = "message"  // the first message, of the action auth
)

var tokenPlaces = []string{TokenHeader, TokenProtocol, TokenQuery, TokenMessage}

// How a newcomer is refused: values of Config.AuthRefuse.
const (
	RefuseStatus = "status" // 401, 403 or 429 instead of the handshake's answer
	RefuseClose  = "close"  // the handshake, and then a close frame, whose code browsers can see
)

// What happens beyond Config.MaxPerUser: values of Config.MaxPerUserPolicy.
const (
	RefuseNew   = "refuse"
	CloseOldest = "close-oldest"
)

// tokenPrefix is how a subprotocol begins that is a token.
const tokenPrefix = "wsd.token."

// Newcomer is what Config.Authenticate decides about.
type Newcomer struct {
	ID         uuid.UUID // it will have
	RemoteAddr netip.AddrPort
	// Request is the handshake, good until the call returns.
	Request *conn.Request
	// Token is what Config.TokenFrom found, nil if there is none.
	Token []byte
}

// auth is what Config says of newcomers, as it is asked for.
type authRules struct {
	on, required, message bool
	close                 bool // newcomers are refused by a close frame
	guarded               bool // requests have to be looked at by mayDo
	places                []string
	open                  []bool // actions that everybody may ask for, by index; nil: all
}

func (s *Server) authRules() (r authRules) {
	cfg := &s.cfg
	r.on = cfg.Auth != AuthOff
	r.required = cfg.Auth == AuthRequired
	r.close = cfg.AuthRefuse == RefuseClose
	r.message = r.on && slices.Contains(cfg.TokenFrom, TokenMessage)
	r.places = slices.DeleteFunc(slices.Clone(cfg.TokenFrom), func(place string) bool { return place == TokenMessage })
	if len(cfg.Actions) > 0 {
		r.open = make([]bool, len(s.mux.Actions()))
		for _, a := range s.mux.Actions() {
			r.open[a.Index] = allows(cfg.Actions, a.Name) || slices.Contains(alwaysOpen, a.Name)
		}
	}
	r.guarded = r.open != nil || r.message && r.required
	return r
}

// alwaysOpen are the actions that a client needs to stay, and to know why it may not
// do more.
var alwaysOpen = []string{"heart_beat", "whoami", dispatch.AuthAction}

// Results of a look at who a client is, for counters.
const (
	authOK = iota
	authAnonymous
	authEmpty
	authInvalid
	authExpired
	authRevoked
	authForbidden
	authUserLimit
	authBusy
	authTimeout
	authProlonged
	authResults
)

var authNames = [authResults]string{
	authOK: "ok", authAnonymous: "anonymous", authEmpty: "empty", authInvalid: "invalid", authExpired: "expired", authRevoked: "revoked",
	authForbidden: "forbidden", authUserLimit: "user_limit", authBusy: "busy", authTimeout: "timeout", authProlonged: "prolonged",
}

func resultOf(err error) int {
	switch {
	case errors.Is(err, errRevoked):
		return authRevoked
	case errors.Is(err, errUserLimit):
		return authUserLimit
	case errors.Is(err, errUserName):
		return authInvalid
	}
	switch code, _ := dispatch.CodeOf(err); code {
	case dispatch.TokenEmpty:
		return authEmpty
	case dispatch.TokenInvalid:
		return authInvalid
	case dispatch.TokenExpired:
		return authExpired
	case dispatch.Busy:
		return authBusy
	}
	return authForbidden
}

// token finds the newcomer's token. Two in one place are none that is good.
func (s *Server) token(r *conn.Request) ([]byte, error) {
	for _, place := range s.auth.places {
		var token []byte
		single := true
		switch place {
		case TokenHeader:
			token, single = r.Bearer()
		case TokenProtocol:
			token, single = r.ProtocolToken(tokenPrefix)
		case TokenQuery:
			token, single = r.QueryValue("token")
		}
		if token != nil && !single {
			return nil, dispatch.ErrTokenInvalid
		}
		if len(token) > 0 {
			return token, nil
		}
	}
	return nil, nil
}

// identify says who the newcomer is whose request is in l.req and, with what came
// behind it, in in. wait: a worker is looking. who is nil for somebody anonymous, and
// for those who will prove it by their first message.
func (l *loop) identify(slot uint32, c *client, in []byte) (who *Identity, wait bool, err error) {
	s := l.server
	if e := l.extras.of(c); e != nil && e.check != nil {
		k := e.check
		e.check = nil
		if k.who == nil && k.err == nil {
			k.err = s.withoutToken(c)
		}
		return k.who, false, k.err
	}
	token, err := s.token(&l.req)
	switch {
	case err != nil:
		return nil, false, err
	case s.cfg.Authenticate != nil:
		return nil, true, l.look4(slot, c, token, in)
	case token == nil:
		return nil, false, s.withoutToken(c)
	}
	l.feeding.slot, l.feeding.cur = slot, c
	l.feeding.env = dispatch.Envelope{Token: token}
	ctx := &l.feeding.ctx
	*ctx = dispatch.Context{Context: s.ctx, Client: (*here)(l), Envelope: &l.feeding.env}
	if !s.quick(ctx) {
		return nil, true, l.look4(slot, c, token, nil)
	}
	who, err = s.proven(ctx)
	return who, false, err
}

// lookedAt says that this is the second look at a request: a worker has had it.
func (l *loop) lookedAt(c *client) bool {
	e := l.extras.of(c)
	return e != nil && e.check != nil
}

// withoutToken says whether a client may come without one.
func (s *Server) withoutToken(c *client) error {
	if s.auth.required && !(s.auth.message && !c.is(flagEcho)) {
		return dispatch.ErrTokenEmpty
	}
	return nil
}

// proven is what Mux.Authenticate says of the token in ctx. Whether it is revoked is
// looked at by enroll.
func (s *Server) proven(ctx *dispatch.Context) (*Identity, error) {
	if err := s.authenticate(ctx); err != nil {
		return nil, err
	}
	who := identityOf(ctx.Identity)
	if who == nil {
		return nil, &dispatch.Error{Code: dispatch.PermissionDenied, Msg: "the token names nobody"}
	}
	return who, nil
}

// newcomerCheck is a newcomer whom a worker looks at, or for whom other nodes are
// waited for. The loop sets everything above err, and the worker the rest.
type newcomerCheck struct {
	loop    *loop
	slot    uint32
	gen     uint32
	there   there
	token   []byte
	request []byte // for Config.Authenticate
	put     bool   // it is back
	waits   int    // for so many answers of the cluster (joining.go); err is the loop's then

	err error
	who *Identity
}

// look4 has a worker look at a newcomer; in is the request, for Config.Authenticate.
// After an error nobody will.
func (l *loop) look4(slot uint32, c *client, token, in []byte) error {
	if len(l.pooled.checks) >= checksAtOnce {
		l.count.n[nBusy]++
		return &dispatch.Error{Code: dispatch.Busy}
	}
	k := &newcomerCheck{loop: l, slot: slot, gen: c.generation, there: l.there(slot, c), token: bytes.Clone(token), request: bytes.Clone(in)}
	l.extras.make(slot, c).check = k
	l.pooled.checks = append(l.pooled.checks, k)
	l.nextCheck()
	return nil
}

// current is the client's record, nil if it does not wait for k any more.
func (k *newcomerCheck) current(l *loop) *client {
	c := l.clients.at(k.slot)
	if e := l.extras.of(c); c.generation == k.gen && c.state == stateJoining && e != nil && e.check == k {
		return c
	}
	return nil
}

func (k *newcomerCheck) over(l *loop) bool { return k.current(l) == nil }

func (k *newcomerCheck) drop(*loop) {}

func (k *newcomerCheck) look(s *Server) {
	if s.cfg.Authenticate != nil {
		k.who, k.err = s.askHook(k)
		return
	}
	ctx := dispatch.Context{Context: s.ctx, Client: &k.there, Envelope: &dispatch.Envelope{Token: k.token}}
	k.who, k.err = s.proven(&ctx)
}

// askHook is Config.Authenticate for a newcomer, which may panic.
func (s *Server) askHook(k *newcomerCheck) (who *Identity, err error) {
	defer s.caught("Authenticate", &err)
	n := Newcomer{ID: k.there.id, RemoteAddr: k.there.addr, Request: new(conn.Request), Token: k.token}
	if _, _, err := new(conn.Upgrader).Upgrade(k.request, nil, n.Request); err != nil {
		return nil, err // it was one for us
	}
	ctx, cancel := context.WithTimeout(s.ctx, s.cfg.HandshakeTimeout)
	defer cancel()
	return s.cfg.Authenticate(ctx, &n)
}

func (k *newcomerCheck) looked(l *loop) {
	if c := k.current(l); c != nil {
		k.put = true
		l.goOnJoining(k.slot, c)
	} else {
		l.count.n[nLate]++
	}
}

func (k *newcomerCheck) noWorker(l *loop) {
	k.err = &dispatch.Error{Code: dispatch.Busy}
	l.count.n[nBusy]++
	k.looked(l)
}

// goOnJoining answers a handshake that has waited for a worker.
func (l *loop) goOnJoining(slot uint32, c *client) {
	l.handshake(slot, c, l.withLeftover(c, nil))
	if c.state != stateDead && c.is(flagReadable) {
		l.readLater(slot, c)
	}
}

// checking says whether a newcomer waits for a worker, or for other nodes.
func (e *extra) checking() bool { return e.check != nil && !e.check.put }

// dropCheck forgets the look at a newcomer who joins, or leaves.
func (l *loop) dropCheck(c *client) {
	if e := l.extras.of(c); e != nil && e.check != nil {
		e.check = nil
		l.extras.tidy(c)
	}
}

// refusal is the answer to a newcomer who is not taken, and the close code for it.
// What is not meant for clients, as in an answer, is not told.
func (s *Server) refusal(err error) (e *conn.HTTPError, status ws.StatusCode) {
	code, detail := dispatch.CodeOf(err)
	if why, ok := errors.AsType[refusalReason](err); ok {
		detail = string(why)
	}
	e = &conn.HTTPError{Status: 403, Reason: cmp.Or(detail, code.Msg()), Problem: true}
	if own, ok := errors.AsType[*conn.HTTPError](err); ok {
		e = own
	}
	switch result := resultOf(err); result {
	case authEmpty, authInvalid, authExpired, authRevoked:
		challenge := "Bearer"
		if result != authEmpty {
			challenge += ` error="invalid_token"`
		}
		e.Status, e.Header = 401, [][2]string{{"WWW-Authenticate", challenge}}
		return e, statusUnauthorized
	case authUserLimit:
		e.Status = 429
		return e, ws.StatusPolicyViolation
	case authBusy:
		return s.later(), statusTryAgain
	}
	if code == dispatch.SystemException && e.Status == 403 && detail == "" {
		e.Reason = dispatch.PermissionDenied.Msg()
	}
	return e, statusForbidden
}

// turnAway closes a client that was let in so that it can read why it is refused.
func (l *loop) turnAway(slot uint32, c *client, err error) {
	if c.state != stateOpen {
		return
	}
	e, code := l.server.refusal(err)
	l.close(slot, c, ReasonUnauthorized, code, strings.ToValidUTF8(e.Reason[:min(len(e.Reason), conn.MaxReason)], ""))
}
