// Package auth verifies the tokens that clients send: JSON Web Tokens (RFC
// 7519) signed with the one key that the operator configured.
//
// It knows nothing of actions or clients; cmd/wsd maps its errors to the codes
// of the action protocol.
package auth

import (
	"errors"

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

// Claims are what a verified token says of its bearer.
type Claims struct {
	// Subject is the "sub" claim, "" when absent.
	Subject string
	// Fanout is the "fanout" claim: the bearer may address other clients.
	Fanout bool
}

// Verifier checks tokens against one key. It is immutable, so any number of
// goroutines may use it.
type Verifier struct {
	key    any
	parser *jwt.Parser
}

// payload is the part of a token's JSON that is read.
type payload struct {
	jwt.RegisteredClaims
	Fanout bool `json:"fanout"`
}

// newVerifier accepts one algorithm only. The token's own "alg" never chooses:
// that is how "none" and a public key used as an HMAC secret get in elsewhere.
func newVerifier(key any, algorithm string) *Verifier {
	return &Verifier{key: key, parser: jwt.NewParser(jwt.WithValidMethods([]string{algorithm}))}
}

// Verify returns what the token claims, or ErrInvalid or ErrExpired. Times are
// compared with this machine's clock, without leeway; a token without "exp"
// does not expire. An HS256 token takes a few microseconds, an RS256 one some
// tens. The token is not kept.
func (v *Verifier) Verify(token []byte) (Claims, error) {
	var p payload
	parsed, err := v.parser.ParseWithClaims(string(token), &p, v.keyFor)
	switch {
	case errors.Is(err, jwt.ErrTokenExpired) && !errors.Is(err, jwt.ErrTokenNotValidYet):
		return Claims{}, ErrExpired
	case err != nil || !parsed.Valid:
		return Claims{}, ErrInvalid
	}
	return Claims{Subject: p.Subject, Fanout: p.Fanout}, nil
}

// keyFor refuses a token that lists extensions its reader must understand
// (RFC 7515, section 4.1.11): none are understood here.
func (v *Verifier) keyFor(t *jwt.Token) (any, error) {
	if _, ok := t.Header["crit"]; ok {
		return nil, ErrInvalid
	}
	return v.key, nil
}
