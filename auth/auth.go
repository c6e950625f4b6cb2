// Package auth verifies the tokens that clients send: JSON Web Tokens (RFC
// 7519) signed with the one key that the operator configured.
//
// It knows nothing of actions or clients; cmd/wsd maps its errors to the codes
// of the action protocol.
package auth

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// What Verify finds wrong with a token. Neither says more than the client may
// know.
var (
	// ErrInvalid is a token that is malformed, not signed with the configured
	// key and algorithm, or not valid yet.
	ErrInvalid = errors.New("token is invalid")
	// ErrExpired is a token that was good until its "exp" passed.
	ErrExpired = errors.New("token has expired")
)

// maxToken bounds what a token costs before its signature is known to be good,
// in bytes. A token in an HTTP header has about half of that.
const maxToken = 16 << 10

// Verifier checks tokens against one key, and remembers which were good. Any
// number of goroutines may use it. Another key needs another Verifier, which
// remembers nothing.
type Verifier struct {
	// Set by New, then constant.
	key    any
	method jwt.SigningMethod // the key's; the token's own "alg" never chooses
	now    func() time.Time

	// For any goroutine.
	known cache
}

func newVerifier(key any, method jwt.SigningMethod) *Verifier {
	return &Verifier{key: key, method: method, now: time.Now}
}

// Expensive tells that Verify takes long for a token that Cached does not know:
// 40 to 100 µs with a public key, whether the signature is good or not, against
// some 10 with a secret. Who must not wait asks Cached first and leaves the rest
// to a goroutine that may.
func (v *Verifier) Expensive() bool { return v.method != jwt.SigningMethodHS256 }

// Cached returns what Verify found in the same token before. false says only
// that Verify has to look: a token that was refused, has expired or was verified
// long ago is not known. It takes well under 1 µs and allocates nothing.
func (v *Verifier) Cached(token []byte) (Claims, bool) {
	if len(token) > maxToken {
		return Claims{}, false
	}
	return v.known.get(sha256.Sum256(token), v.now())
}

// Verify returns what the token claims, or ErrInvalid or ErrExpired. Times are
// compared with this machine's clock, without leeway; a token without "exp"
// does not expire. The token is not kept, only its digest.
func (v *Verifier) Verify(token []byte) (Claims, error) {
	if len(token) > maxToken {
		return Claims{}, ErrInvalid
	}
	d, now := sha256.Sum256(token), v.now()
	if c, ok := v.known.get(d, now); ok {
		return c, nil
	}
	e, err := v.check(token, now)
	if err != nil {
		return Claims{}, err
	}
	v.known.put(d, e)
	return e.Claims, nil
}

// check looks at the signature first: before it is known to be good, nothing of
// the token is parsed.
func (v *Verifier) check(token []byte, now time.Time) (entry, error) {
	signed, header, payload, signature, ok := split(token)
	if !ok || v.method.Verify(signed, signature, v.key) != nil {
		return entry{}, ErrInvalid
	}
	if !v.mayRead(header) {
		return entry{}, ErrInvalid
	}
	c, from, err := parseClaims(payload)
	switch {
	case err != nil || now.Before(from):
		return entry{}, ErrInvalid
	case c.expired(now):
		return entry{}, ErrExpired
	}
	return entry{c, from}, nil
}

// mayRead wants a header (RFC 7515, section 4) that names the key's algorithm, and
// lists no extensions that its reader must understand (section 4.1.11): none are
// understood here.
func (v *Verifier) mayRead(header []byte) bool {
	fields, err := members(header)
	if err != nil || fields["crit"] != nil || fields["alg"] == nil {
		return false
	}
	alg, err := toString(fields["alg"])
	return err == nil && alg == v.method.Alg()
}

// split takes a token in its compact form (RFC 7515, section 3.1) apart. signed is
// what the signature is of.
func split(token []byte) (signed string, header, payload, signature []byte, ok bool) {
	parts := bytes.Split(token, []byte{'.'})
	if len(parts) != 3 {
		return "", nil, nil, nil, false
	}
	var decoded [3][]byte
	for i, part := range parts {
		if decoded[i], ok = decode(part); !ok {
			return "", nil, nil, nil, false
		}
	}
	signed = string(token[:len(parts[0])+1+len(parts[1])])
	return signed, decoded[0], decoded[1], decoded[2], true
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
