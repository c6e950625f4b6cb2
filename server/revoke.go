package server

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gobwas/ws"
)

// Revocation says which tokens count no more: those of a user that were issued before
// a time, or the one of an id. Exactly one of User and Token is set.
type Revocation struct {
	User  string `json:"user,omitempty"`
	Token string `json:"token,omitempty"` // its "jti"
	// IssuedBefore goes with User, to the second. A token that does not say when it
	// was issued is older than every time.
	IssuedBefore time.Time `json:"issued_before,omitzero"`
	// Until is when the last such token has expired, and the revocation goes by itself.
	// The zero time: never.
	Until time.Time `json:"until,omitzero"`
}

// MaxRevocations bounds how many there may be at a time.
const MaxRevocations = 100_000

// Why a revocation is not taken.
var (
	ErrRevocation      = errors.New("a revocation names a user and a time, or a token")
	ErrRevocationsFull = errors.New("there are too many revocations: delete some, or give them an end")
)

// revocations are those in force. A user has one at most, and so has a token. It is
// safe for concurrent use.
type revocations struct {
	count  atomic.Int64 // of both; most servers have none
	mu     sync.RWMutex
	users  map[string]userRevocation
	tokens map[uint64]tokenRevocation
}

type userRevocation struct{ before, until int64 } // Unix seconds; until 0: for ever

type tokenRevocation struct {
	id    string
	until int64
}

func unixOf(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.Unix()
}

func unixTime(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.Unix(n, 0).UTC()
}

// check refuses what revokes nothing.
func (r *Revocation) check() error {
	switch {
	case (r.User == "") == (r.Token == ""), r.User != "" && r.IssuedBefore.IsZero(), r.Token != "" && !r.IssuedBefore.IsZero():
		return ErrRevocation
	case len(r.User) > MaxUser || len(r.Token) > maxTokenID:
		return ErrRevocation
	}
	for _, at := range []time.Time{r.IssuedBefore, r.Until} {
		if n := unixOf(at); n < 0 || n > lastDate {
			return ErrRevocation
		}
	}
	return nil
}

// lastDate is the end of the year 9999, in Unix seconds.
const lastDate = 253402300799

// maxTokenID bounds the id of a token that is revoked, in bytes.
const maxTokenID = 1024

// add takes a revocation, or prolongs and widens the one there is.
func (v *revocations) add(r Revocation, now time.Time) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if int(v.count.Load()) >= MaxRevocations {
		if v.sweepLocked(now.Unix()); int(v.count.Load()) >= MaxRevocations {
			return ErrRevocationsFull
		}
	}
	until := unixOf(r.Until)
	if r.User != "" {
		old, had := v.users[r.User]
		if had {
			until = later(until, old.until)
		}
		if v.users == nil {
			v.users = map[string]userRevocation{}
		}
		before := r.IssuedBefore.Add(time.Second - 1).Unix() // a part of a second counts whole
		v.users[r.User] = userRevocation{max(before, old.before), until}
	} else {
		if old, had := v.tokens[tokenHash(r.Token)]; had {
			until = later(until, old.until)
		}
		if v.tokens == nil {
			v.tokens = map[uint64]tokenRevocation{}
		}
		v.tokens[tokenHash(r.Token)] = tokenRevocation{r.Token, until}
	}
	v.count.Store(int64(len(v.users) + len(v.tokens)))
	return nil
}

// later is the later of two ends, of which 0 is never.
func later(a, b int64) int64 {
	if a == 0 || b == 0 {
		return 0
	}
	return max(a, b)
}

// remove reports whether there was one.
func (v *revocations) remove(user, token string) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	n := len(v.users) + len(v.tokens)
	if user != "" {
		delete(v.users, user)
	} else {
		delete(v.tokens, tokenHash(token))
	}
	v.count.Store(int64(len(v.users) + len(v.tokens)))
	return len(v.users)+len(v.tokens) < n
}

// sweepLocked forgets those whose end has come.
func (v *revocations) sweepLocked(now int64) {
	for user, r := range v.users {
		if r.until != 0 && r.until <= now {
			delete(v.users, user)
		}
	}
	for hash, r := range v.tokens {
		if r.until != 0 && r.until <= now {
			delete(v.tokens, hash)
		}
	}
	v.count.Store(int64(len(v.users) + len(v.tokens)))
}

// covers says whether a token is revoked. Without revocations it costs one load.
func (v *revocations) covers(who *Identity) bool {
	if v.count.Load() == 0 {
		return false
	}
	v.mu.RLock()
	defer v.mu.RUnlock()
	return v.matchLocked(tokenHash(who.TokenID), v.users[who.Subject], int64(seconds(who.Issued)))
}

// coversKnown is covers for who is connected. It allocates nothing.
func (v *revocations) coversKnown(id *ident, user []byte) bool {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return v.matchLocked(id.token, v.users[string(user)], int64(id.issued))
}

// matchLocked looks a token up by its hash, 0 if it has no id. of is the revocation of
// its user, of which the zero value is none.
func (v *revocations) matchLocked(token uint64, of userRevocation, issued int64) bool {
	now := time.Now().Unix()
	if token != 0 {
		if r, ok := v.tokens[token]; ok && (r.until == 0 || r.until > now) {
			return true
		}
	}
	return issued < of.before && (of.until == 0 || of.until > now)
}

// list returns those in force: the users', by name, and then the tokens', by id.
func (v *revocations) list(now time.Time) (all []Revocation) {
	v.mu.Lock()
	v.sweepLocked(now.Unix())
	for user, r := range v.users {
		all = append(all, Revocation{User: user, IssuedBefore: unixTime(r.before), Until: unixTime(r.until)})
	}
	for _, r := range v.tokens {
		all = append(all, Revocation{Token: r.id, Until: unixTime(r.until)})
	}
	v.mu.Unlock()
	slices.SortFunc(all, func(a, b Revocation) int {
		return cmp.Or(cmp.Compare(a.Token, b.Token), cmp.Compare(a.User, b.User))
	})
	return all
}

// Revoke has tokens count no more: whoever came by one is closed with 3000, at once,
// and no more come. closed is how many those were on this server; ctx ends the
// waiting for that. A user, or a token, has one revocation: a further one makes it
// wider or longer. Errors are ErrRevocation, ErrRevocationsFull, and those of Publish.
//
// In a cluster it is this node's alone, but for nodes that meet this one later;
// cluster.Node.Revoke is for all.
func (s *Server) Revoke(ctx context.Context, r Revocation) (closed int, err error) {
	if err := r.check(); err != nil {
		return 0, err
	}
	if err := s.addRevocation(r); err != nil {
		return 0, err
	}
	if r.User != "" {
		before := r.IssuedBefore.Add(time.Second - 1).Unix()
		return s.closeRevoked(ctx, User(r.User), func(l *loop, slot uint32, _ *client) bool { return int64(l.idents.at(slot).issued) < before })
	}
	token := tokenHash(r.Token)
	return s.closeRevoked(ctx, All(), func(l *loop, slot uint32, c *client) bool {
		return c.is(flagKnown) && l.idents.at(slot).token == token
	})
}

// RevokeAll is Revoke for many at a time, with one look at the clients. It ends at the
// first that is not taken; those before it are in force.
func (s *Server) RevokeAll(ctx context.Context, list []Revocation) (closed int, err error) {
	for _, r := range list {
		if err = r.check(); err == nil {
			err = s.addRevocation(r)
		}
		if err != nil {
			break
		}
	}
	n, failed := s.closeRevoked(ctx, All(), func(l *loop, slot uint32, c *client) bool {
		if !c.is(flagKnown) {
			return false
		}
		id := l.idents.at(slot)
		var user []byte
		if id.user != 0 {
			user = l.names.of(id.user)
		}
		return s.revocations.coversKnown(id, user)
	})
	return n, cmp.Or(err, failed)
}

// closeRevoked closes those of a target whose token counts no more, and counts them.
func (s *Server) closeRevoked(ctx context.Context, t Target, only func(*loop, uint32, *client) bool) (closed int, err error) {
	d := newDelivery(nil, t)
	d.closing = &closing{code: statusUnauthorized, reason: errRevoked.Error(), why: ReasonRevoked, only: only}
	if err := s.publishWhenRoom(ctx, d); err != nil {
		return 0, err
	}
	result, err := publishing{s, d}.Wait(ctx)
	return result.Matched, err
}

// addRevocation is Revoke's first half, which no handover comes between: the
// revocation is in what is handed over, or is refused here.
func (s *Server) addRevocation(r Revocation) error {
	s.handoverLock.RLock()
	defer s.handoverLock.RUnlock()
	if s.gone {
		return ErrStopped
	}
	return s.revocations.add(r, time.Now())
}

// Revocations lists those in force: of users by name, then of tokens by id.
func (s *Server) Revocations() []Revocation { return s.revocations.list(time.Now()) }

// Unrevoke takes the revocation of a user, or of a token, back, and reports whether
// there was one. Clients that it closed stay so. As Revoke, it is for this node alone.
func (s *Server) Unrevoke(user, token string) bool { return s.revocations.remove(user, token) }

// append writes the revocations down:
//
//	u8 kind: 0 user, 1 token │ i64 issued before │ i64 until │ uvarint length │ name
func (v *revocations) append(b []byte) []byte {
	for _, r := range v.list(time.Now()) {
		kind, name := byte(0), r.User
		if r.Token != "" {
			kind, name = 1, r.Token
		}
		b = le.AppendUint64(append(b, kind), uint64(unixOf(r.IssuedBefore)))
		b = le.AppendUint64(b, uint64(unixOf(r.Until)))
		b = append(binary.AppendUvarint(b, uint64(len(name))), name...)
	}
	return b
}

// read takes in what append wrote.
func (v *revocations) read(b []byte) error {
	for len(b) > 0 {
		if len(b) < 18 || b[0] > 1 {
			return garbled("revocations")
		}
		before, until := int64(le.Uint64(b[1:])), int64(le.Uint64(b[9:]))
		n, size := binary.Uvarint(b[17:])
		if size <= 0 || n > uint64(len(b)-17-size) {
			return garbled("revocations")
		}
		name := string(b[17+size : 17+size+int(n)])
		r := Revocation{Token: name, Until: unixTime(until)}
		if b[0] == 0 {
			r = Revocation{User: name, IssuedBefore: unixTime(before), Until: unixTime(until)}
		}
		if err := r.check(); err != nil {
			return garbled("revocations")
		}
		if err := v.add(r, time.Now()); err != nil {
			return err
		}
		b = b[17+size+int(n):]
	}
	return nil
}

// statusUnauthorized and statusForbidden are IANA's close codes.
const (
	statusUnauthorized ws.StatusCode = 3000
	statusForbidden    ws.StatusCode = 3003
)
