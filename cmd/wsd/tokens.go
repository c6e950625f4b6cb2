package main

import (
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"wsd/auth"
	"wsd/dispatch"
	"wsd/server"
)

// newMux returns the built-in actions, and the check of tokens if there is a
// key for it.
func newMux(key *tokenKey, log *slog.Logger) *dispatch.Mux {
	mux := dispatch.NewMux()
	mux.Logger = log
	dispatch.Builtins(mux)
	if key != nil {
		mux.Authenticate, mux.Recall = key.authenticate, key.recall
	}
	return mux
}

// tokenKey is the key of clients' tokens. It can be read again while it is in
// use: all that depends on it is the verifier's, and goes with it.
type tokenKey struct {
	file     string
	log      *slog.Logger
	verifier atomic.Pointer[auth.Verifier]
}

// written is when this program was, roughly: a clock that says less is not set.
var written = time.Date(2026, time.January, 1, 0, 0, 0, 0, time.UTC)

// loadTokenKey is nil without a file. A machine without a clock of its own begins
// in 1970, and its services may come up before the network's time does.
func loadTokenKey(file string, log *slog.Logger) (*tokenKey, error) {
	if file == "" {
		return nil, nil
	}
	if now := time.Now(); now.Before(written) {
		log.Warn("the clock is wrong: tokens that have expired are taken as good until it is set", "now", now.UTC())
	}
	k := &tokenKey{file: file, log: log}
	return k, k.load()
}

// load reads the file. On an error the key in force stays.
func (k *tokenKey) load() error {
	v, err := auth.Load(k.file, k.log)
	if err != nil {
		return fmt.Errorf("--token-key-file: %w", err)
	}
	k.verifier.Store(v)
	return nil
}

// authenticate joins auth, which knows no codes, to dispatch, which knows no
// tokens.
func (k *tokenKey) authenticate(_ *dispatch.Context, token []byte) (any, error) {
	return identify(k.verifier.Load().Verify(token))
}

// recall is authenticate for a token that was good before, or any if the key is a
// secret.
func (k *tokenKey) recall(token []byte) (id any, known bool, err error) {
	v := k.verifier.Load()
	if claims, ok := v.Cached(token); ok {
		id, err = identify(claims, nil)
		return id, true, err
	}
	if v.Expensive() {
		return nil, false, nil
	}
	id, err = identify(v.Verify(token))
	return id, true, err
}

func identify(claims auth.Claims, err error) (any, error) {
	switch {
	case errors.Is(err, auth.ErrExpired):
		return nil, dispatch.ErrTokenExpired
	case err != nil:
		return nil, dispatch.ErrTokenInvalid
	}
	return server.Identity{Subject: claims.Subject, Fanout: claims.Fanout}, nil
}
