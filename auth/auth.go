// Package auth verifies the tokens that clients send: JSON Web Tokens (RFC
// 7519) signed with one of the keys that the operator configured, in files or as JSON
// Web Key Sets (RFC 7517).
//
// It knows nothing of actions or clients; cmd/wsd maps its errors to the codes
// of the action protocol.
package auth

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// What Verify finds wrong with a token. None says more than the client may
// know.
var (
	// ErrInvalid is a token that is malformed, not signed with a configured
	// key and its algorithm, not valid yet, or not for this server.
	ErrInvalid = errors.New("token is invalid")
	// ErrExpired is a token that was good until its "exp" passed.
	ErrExpired = errors.New("token has expired")
	// ErrTryAgain is a token that names a key which is not known yet: the key sets are
	// being read again.
	ErrTryAgain = errors.New("the token's key is not known yet")
)

// Bounds of what a token costs before its signature is known to be good.
const (
	// maxToken is in bytes. A token in an HTTP header has about half of that.
	maxToken = 16 << 10
	// maxTokenHeader is of a token's decoded header, which has to be read to find its key.
	maxTokenHeader = 2 << 10
	// maxTries is how many keys may fit a token that does not say which is its own.
	maxTries = 8
)

// Rules are what tokens have to say beside being signed.
type Rules struct {
	// Issuers and Audiences list what "iss" and "aud" may be; none is anything. Of
	// several audiences in a token one has to be listed.
	Issuers, Audiences []string
	// Leeway is how much the issuer's clock may differ from this machine's.
	Leeway time.Duration
}

// Verifier checks tokens against keys, and remembers which were good. Any
// number of goroutines may use it. When its keys change it forgets what it remembers.
type Verifier struct {
	// Set when it is made, then constant.
	rules Rules
	make  func(*Claims) any // Config.Make
	now   func() time.Time

	// Of whoever changes keys.
	mu      sync.Mutex
	files   []key
	sources []*source

	// For any goroutine.
	keys   atomic.Pointer[keySet]
	known  cache
	header atomic.Pointer[header] // of the last good token that was looked at
}

// header is what a token's header says. Those of one issuer's tokens are alike, byte
// for byte, so that one is read once.
type header struct{ text, alg, kid string }

// keySet is the keys at a time. Nobody changes it.
type keySet struct {
	list  []key
	epoch uint64 // of the cache
}

// key verifies signatures.
type key struct {
	id     string // "kid", "" if it has none
	key    any
	method jwt.SigningMethod // the key's; the token's own "alg" never chooses
}

func newVerifier(rules Rules, keys ...key) *Verifier {
	v := &Verifier{rules: rules, now: time.Now, files: keys}
	v.collect()
	return v
}

// collect makes the keys of the files and of all sources those in force. What is known
// of tokens is forgotten if they are others than before. Whoever calls it holds mu, or
// is alone.
func (v *Verifier) collect() {
	list := slices.Clone(v.files)
	for _, s := range v.sources {
		list = append(list, s.keys...)
	}
	if old := v.keys.Load(); old != nil && slices.EqualFunc(old.list, list, key.equal) {
		return
	}
	v.keys.Store(&keySet{list, v.known.reset()})
}

func (k key) equal(o key) bool {
	if k.id != o.id || k.method != o.method {
		return false
	}
	a, ok1 := k.key.([]byte)
	b, ok2 := o.key.([]byte)
	if ok1 || ok2 {
		return ok1 && ok2 && bytes.Equal(a, b)
	}
	return samePublic(k.key, o.key)
}

// Expensive tells that Verify takes long for a token that Cached does not know:
// 40 to 100 µs with a public key, whether the signature is good or not, against
// some 10 with a secret. Who must not wait asks Cached first and leaves the rest
// to a goroutine that may.
func (v *Verifier) Expensive() bool {
	return len(v.sources) > 0 || slices.ContainsFunc(v.keys.Load().list, func(k key) bool { return k.method != jwt.SigningMethodHS256 })
}

// Cached returns what Verify found in the same token before. false says only
// that Verify has to look: a token that was refused, has expired or was verified
// long ago is not known. It takes well under 1 µs and allocates nothing.
func (v *Verifier) Cached(token []byte) (Claims, bool) {
	if len(token) > maxToken {
		return Claims{}, false
	}
	return v.known.get(sha256.Sum256(token), v.now())
}

// Verify returns what the token claims, or ErrInvalid, ErrExpired or ErrTryAgain. Times
// are compared with this machine's clock; a token without "exp" does not expire. The
// token is not kept, only its digest.
func (v *Verifier) Verify(token []byte) (Claims, error) {
	if len(token) > maxToken {
		return Claims{}, ErrInvalid
	}
	d, now := sha256.Sum256(token), v.now()
	if c, ok := v.known.get(d, now); ok {
		return c, nil
	}
	keys := v.keys.Load()
	e, err := v.check(keys, token, now)
	if err != nil {
		return Claims{}, err
	}
	v.known.put(d, e, keys.epoch)
	return e.Claims, nil
}

// check looks at the signature before it parses what is signed, but for the header,
// which says by which key.
func (v *Verifier) check(keys *keySet, token []byte, now time.Time) (*entry, error) {
	signed, head, payload, signature, ok := split(token)
	if !ok {
		return nil, ErrInvalid
	}
	h := v.header.Load()
	if h == nil || h.text != string(head) {
		if h, ok = readHeader(head); !ok {
			return nil, ErrInvalid
		}
	}
	switch fits, verified := keys.verify(h.alg, h.kid, signed, signature); {
	case fits == 0 && h.kid != "" && v.missing():
		return nil, ErrTryAgain
	case !verified:
		return nil, ErrInvalid
	}
	v.header.Store(h)
	c, on, err := parseClaims(payload)
	if err != nil || !v.rules.allow(&on) {
		return nil, ErrInvalid
	}
	e := newEntry(c, on.from, v.rules.Leeway)
	switch {
	case now.Before(e.from):
		return nil, ErrInvalid
	case e.expired(now):
		return nil, ErrExpired
	}
	if v.make != nil {
		e.Made = v.make(&e.Claims)
	}
	return e, nil
}

// allow says whether a token is by a known issuer, and for this server.
func (r *Rules) allow(on *conditions) bool {
	forUs := len(r.Audiences) == 0
	for _, audience := range on.audience {
		forUs = forUs || slices.Contains(r.Audiences, audience)
	}
	return forUs && (len(r.Issuers) == 0 || slices.Contains(r.Issuers, on.issuer))
}

// verify looks for a key that a signature is good by. fits is how many there are of
// the token's algorithm and key id. A key that has no id fits any, and so does a token
// that names none.
func (s *keySet) verify(alg, kid, signed string, signature []byte) (fits int, ok bool) {
	for i := range s.list {
		k := &s.list[i]
		if k.method.Alg() != alg || kid != "" && k.id != "" && k.id != kid {
			continue
		}
		if fits++; fits > maxTries {
			break
		}
		if k.method.Verify(signed, signature, k.key) == nil {
			return fits, true
		}
	}
	return fits, false
}

// readHeader reads a header (RFC 7515, section 4) in its encoded form. One that lists
// extensions which its reader must understand (section 4.1.11) is refused: none are
// understood here. Keys and addresses of keys in it (jwk, jku, x5u, x5c) do not count.
func readHeader(text []byte) (*header, bool) {
	decoded, ok := decode(text)
	if !ok || len(decoded) > maxTokenHeader {
		return nil, false
	}
	fields, err := members(decoded)
	if err != nil || fields["crit"] != nil || fields["alg"] == nil {
		return nil, false
	}
	h := &header{text: string(text)}
	if h.alg, err = toString(fields["alg"]); err != nil {
		return nil, false
	}
	if id := fields["kid"]; id != nil {
		if h.kid, err = toString(id); err != nil {
			return nil, false
		}
	}
	return h, true
}

// split takes a token in its compact form (RFC 7515, section 3.1) apart. signed is
// what the signature is of; head is still encoded.
func split(token []byte) (signed string, head, payload, signature []byte, ok bool) {
	parts := bytes.Split(token, []byte{'.'})
	if len(parts) != 3 {
		return "", nil, nil, nil, false
	}
	if payload, ok = decode(parts[1]); !ok {
		return "", nil, nil, nil, false
	}
	if signature, ok = decode(parts[2]); !ok {
		return "", nil, nil, nil, false
	}
	signed = string(token[:len(parts[0])+1+len(parts[1])])
	return signed, parts[0], payload, signature, true
}

// decode reads base64url as RFC 7515, section 2, has it: without padding or line
// breaks, which encoding/base64 would pass over, and in the one way to write it.
func decode(text []byte) ([]byte, bool) {
	if bytes.ContainsAny(text, "\r\n") {
		return nil, false
	}
	out, err := base64.RawURLEncoding.Strict().AppendDecode(nil, text)
	return out, err == nil
}
