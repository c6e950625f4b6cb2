package main

import (
	"errors"
	"fmt"
	"log/slog"

	"wsd/auth"
	"wsd/dispatch"
	"wsd/server"
)

// newMux returns the built-in actions, and the check of tokens if there is a
// key for it.
func newMux(keyFile string, log *slog.Logger) (*dispatch.Mux, error) {
	mux := dispatch.NewMux()
	mux.Logger = log
	dispatch.Builtins(mux)
	if keyFile == "" {
		return mux, nil
	}
	verifier, err := auth.Load(keyFile, log)
	if err != nil {
		return nil, fmt.Errorf("--token-key-file: %w", err)
	}
	mux.Authenticate = authenticator(verifier)
	return mux, nil
}

// authenticator joins auth, which knows no codes, to dispatch, which knows no
// tokens. It does not block.
func authenticator(v *auth.Verifier) func(*dispatch.Context, []byte) (any, error) {
	return func(_ *dispatch.Context, token []byte) (any, error) {
		claims, err := v.Verify(token)
		switch {
		case errors.Is(err, auth.ErrExpired):
			return nil, dispatch.ErrTokenExpired
		case err != nil:
			return nil, dispatch.ErrTokenInvalid
		}
		return server.Identity{Subject: claims.Subject, Fanout: claims.Fanout}, nil
	}
}
