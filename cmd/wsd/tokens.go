package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"wsd/auth"
	"wsd/dispatch"
	"wsd/server"
)

// newMux returns the built-in actions, and the check of tokens if there are keys
// for it.
func newMux(keys *tokens, mode string, log *slog.Logger) *dispatch.Mux {
	mux := dispatch.NewMux()
	mux.Logger = log
	dispatch.Builtins(mux)
	if mode != string(server.AuthOff) {
		dispatch.Auth(mux)
	}
	if keys != nil {
		mux.Authenticate, mux.Recall = keys.authenticate, keys.recall
	}
	return mux
}

// check refuses what has no effect: each of these needs another.
func (f *identityFlags) check() error {
	keys := len(f.TokenKeyFile) > 0 || len(f.TokenJwks) > 0
	switch {
	case f.Auth != string(server.AuthOff) && !keys:
		return fmt.Errorf("--auth %s: there is no key for tokens: give --token-key-file or --token-jwks", f.Auth)
	case !keys && (len(f.TokenIssuer) > 0 || len(f.TokenAudience) > 0):
		return errors.New("--token-issuer and --token-audience have no effect without --token-key-file or --token-jwks")
	}
	return nil
}

// tokens are the keys of clients' tokens. They can be read again while they are in
// use.
type tokens struct {
	cfg      auth.Config
	verifier *auth.Verifier
	stop     context.CancelFunc // ends the reading of key sets
}

// written is when this program was, roughly: a clock that says less is not set.
var written = time.Date(2026, time.January, 1, 0, 0, 0, 0, time.UTC)

// openTokens is nil without keys. A machine without a clock of its own begins in
// 1970, and its services may come up before the network's time does.
func openTokens(f *identityFlags, log *slog.Logger) (*tokens, error) {
	if len(f.TokenKeyFile) == 0 && len(f.TokenJwks) == 0 {
		return nil, nil
	}
	if now := time.Now(); now.Before(written) {
		log.Warn("the clock is wrong: tokens that have expired are taken as good until it is set", "now", now.UTC())
	}
	k := &tokens{cfg: auth.Config{
		Rules: auth.Rules{Issuers: f.TokenIssuer, Audiences: f.TokenAudience, Leeway: time.Duration(f.TokenLeeway)},
		Files: f.TokenKeyFile, KeySets: f.TokenJwks, Refresh: time.Duration(f.TokenJwksRefresh), Log: log, Make: identity,
	}}
	if len(f.TokenJwks) > 0 && len(f.TokenAudience) == 0 {
		log.Warn("tokens that the issuer made for other services are taken, too: say with --token-audience which are for this one")
	}
	ctx, stop := context.WithCancel(context.Background())
	v, err := auth.Open(ctx, k.cfg)
	if err != nil {
		stop()
		return nil, fmt.Errorf("--token-key-file, --token-jwks: %w", err)
	}
	k.verifier, k.stop = v, stop
	return k, nil
}

// reload reads the keys again. On an error those in force stay.
func (k *tokens) reload() error {
	if err := k.verifier.Reload(k.cfg); err != nil {
		return fmt.Errorf("--token-key-file: %w", err)
	}
	return nil
}

// authenticate joins auth, which knows no codes, to dispatch, which knows no
// tokens.
func (k *tokens) authenticate(_ *dispatch.Context, token []byte) (any, error) {
	return identify(k.verifier.Verify(token))
}

// recall is authenticate for a token that was good before, or any if all keys are
// secrets.
func (k *tokens) recall(token []byte) (id any, known bool, err error) {
	if claims, ok := k.verifier.Cached(token); ok {
		id, err = identify(claims, nil)
		return id, true, err
	}
	if k.verifier.Expensive() {
		return nil, false, nil
	}
	id, err = identify(k.verifier.Verify(token))
	return id, true, err
}

func identify(c auth.Claims, err error) (any, error) {
	switch {
	case errors.Is(err, auth.ErrExpired):
		return nil, dispatch.ErrTokenExpired
	case errors.Is(err, auth.ErrTryAgain):
		return nil, &dispatch.Error{Code: dispatch.Busy}
	case err != nil:
		return nil, dispatch.ErrTokenInvalid
	}
	return c.Made, nil
}

// identity is what the server has of a token's claims. All clients that bring the
// token share it, so nobody changes it.
func identity(c *auth.Claims) any {
	who := &server.Identity{Subject: c.Subject, TokenID: c.TokenID, Fanout: c.Fanout, Issued: c.Issued, Expires: c.Expires}
	if g := c.Grants; g != nil {
		who.Topics, who.Subscribe, who.Publish, who.Actions, who.Limit = g.Topics, g.Subscribe, g.Publish, g.Actions, g.Limit
	}
	return who
}
