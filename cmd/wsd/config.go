package main

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"wsd/admin"
	"wsd/server"
)

// serverConfig turns the flags into the server's terms. There, 0 means the
// default and, where it can be, a negative value no limit; here the defaults
// stand in the flags, so that 0 is free to mean no limit. The actions and the
// log are left out.
func (f *serveFlags) serverConfig() server.Config {
	cfg := server.Config{
		Listen:        f.Listen.Listen,
		ReusePort:     f.Listen.ReusePort,
		ProxyProtocol: f.Listen.ProxyProtocol,
		ProxyFrom:     f.Listen.ProxyFrom,
		ForwardedFrom: f.Listen.ForwardedFrom,
		Path:          f.Listen.Path,
		EchoPath:      f.Listen.EchoPath,
		Loops:         int(f.Listen.Loops),

		MaxClients:    int(f.Admission.MaxClients),
		MaxHandshakes: int(f.Admission.MaxHandshakes),
		HandshakeRate: int(f.Admission.HandshakeRate),
		MaxPerAddress: int(f.Admission.MaxPerAddress),
		RetryAfter:    time.Duration(f.Admission.RetryAfter),
		Origins:       f.Admission.Origins,
		Hosts:         f.Admission.Hosts,
		Subprotocols:  f.Admission.Subprotocols,

		MaxHeader:          int(f.Limits.MaxHeader),
		MaxMessage:         int(f.Limits.MaxMessage),
		MaxFragments:       limit(f.Limits.MaxFragments),
		MessageRate:        int(f.Limits.MessageRate),
		ByteRate:           int(f.Limits.ByteRate),
		ControlRate:        limit(f.Limits.ControlRate),
		MaxTopicsPerClient: limit(f.Limits.MaxTopicsPerClient),
		MaxTopics:          limit(f.Limits.MaxTopics),

		PendingLimit: int(f.Slow.PendingLimit),
		PendingAge:   time.Duration(f.Slow.PendingAge),
		NotsentLowat: int(orNone(f.Slow.NotsentLowat)),

		HandshakeTimeout:    time.Duration(f.Timeouts.HandshakeTimeout),
		FirstMessageTimeout: time.Duration(f.Timeouts.FirstMessageTimeout),
		IdleTimeout:         time.Duration(orNone(f.Timeouts.IdleTimeout)),
		PongTimeout:         time.Duration(f.Timeouts.PongTimeout),
		MessageTimeout:      time.Duration(orNone(f.Timeouts.MessageTimeout)),
		CloseTimeout:        time.Duration(f.Timeouts.CloseTimeout),

		ClientFanout:  f.Actions.ClientFanout,
		Topics:        f.Actions.Topics,
		Workers:       int(f.Actions.Workers),
		ActionTimeout: time.Duration(f.Actions.ActionTimeout),
		DrainTime:     time.Duration(orNone(f.Stop.DrainTime)),

		Actions: f.Actions.Actions,
	}
	f.Identity.configure(&cfg)
	if t := f.Timeouts.UserTimeout; t != nil {
		cfg.UserTimeout = time.Duration(orNone(*t))
	}
	if t := f.Slow.PendingTotal; t != nil {
		cfg.PendingTotal = int64(*t)
	}
	_ = cfg.SlowConsumer.UnmarshalText([]byte(f.Slow.SlowConsumer)) // it is one of the flag's enum
	return cfg
}

// configure is serverConfig for who clients are.
func (f *identityFlags) configure(cfg *server.Config) {
	cfg.Auth, cfg.AuthRefuse = server.AuthMode(f.Auth), f.AuthRefuse
	cfg.TokenFrom = f.TokenFrom
	cfg.AuthTimeout = time.Duration(f.AuthTimeout)
	cfg.TokenLeeway = time.Duration(orNone(f.TokenLeeway))
	cfg.MaxPerUser, cfg.MaxPerUserPolicy = int(f.MaxPerUser), f.MaxPerUserPolicy
}

// orNone turns the 0 of a flag into the server's word for no limit.
func orNone[T count | size | span](v T) T {
	if v == 0 {
		return -1
	}
	return v
}

func limit(c count) int { return int(orNone(c)) }

// adminConfig is for an admin side that is wanted. It may have a quarter of the
// descriptors that clients cannot have.
func (f *serveFlags) adminConfig(log *slog.Logger, reserve int) admin.Config {
	return admin.Config{
		Listen:     f.Admin.Admin,
		TokenFile:  f.Admin.AdminTokenFile,
		MaxPublish: int64(f.Admin.MaxPublish),
		Path:       f.Listen.Path,
		Version:    programVersion(),

		IdempotencyWindow: time.Duration(f.Admin.IdempotencyWindow),
		IdempotencyKeys:   limit(f.Admin.IdempotencyKeys),

		MaxConns: min(max(reserve/4, 4), 128),
		Logger:   log,
	}
}

// Validate refuses what cannot be meant, and fills in what follows from other
// settings. kong calls it.
func (f *serveFlags) Validate() error {
	if err := f.checkPresent(); err != nil {
		return err
	}
	if err := f.Identity.check(); err != nil {
		return err
	}
	cfg := f.serverConfig()
	cfg.Mux = newMux(new(tokens), f.Identity.Auth, nil) // as it will be, as far as that counts here
	full, err := cfg.Complete()
	if err != nil {
		return named(err, serverFlagNames)
	}
	f.Listen.Path, f.Listen.EchoPath = full.Path, full.EchoPath
	if f.Timeouts.UserTimeout == nil {
		fitting := span(full.UserTimeout)
		f.Timeouts.UserTimeout = &fitting
	}
	if f.Admission.Strict && f.Admission.MaxClients == 0 {
		return errors.New("--strict has nothing to check: say with --max-clients how many clients this host has to hold")
	}
	if err := f.checkCluster(); err != nil {
		return err
	}
	if f.Admin.Admin == "none" {
		f.Admin.Admin = ""
	}
	if f.Admin.Admin == "" {
		return nil
	}
	return named(f.adminConfig(nil, 0).Check(), adminFlagNames)
}

// serverFlagNames are fields of server.Config that an error about another one names.
var serverFlagNames = map[string]string{"ProxyFrom": "proxy-from", "ProxyProtocol": "proxy-protocol"}

// adminFlagNames are those that are not the fields' of admin.Config.
var adminFlagNames = map[string]string{"Listen": "admin", "TokenFile": "admin-token-file"}

// checkPresent refuses 0 where there has to be a limit, and nothing where there
// has to be something: in a Config both mean the default.
func (f *serveFlags) checkPresent() error {
	for _, required := range []struct {
		flag string
		zero bool
	}{
		{"max-handshakes", f.Admission.MaxHandshakes == 0},
		{"retry-after", f.Admission.RetryAfter == 0},
		{"max-header", f.Limits.MaxHeader == 0},
		{"max-message", f.Limits.MaxMessage == 0},
		{"pending-limit", f.Slow.PendingLimit == 0},
		{"pending-total", f.Slow.PendingTotal != nil && *f.Slow.PendingTotal == 0},
		{"pending-age", f.Slow.PendingAge == 0},
		{"handshake-timeout", f.Timeouts.HandshakeTimeout == 0},
		{"pong-timeout", f.Timeouts.PongTimeout == 0},
		{"close-timeout", f.Timeouts.CloseTimeout == 0},
		{"workers", f.Actions.Workers == 0},
		{"action-timeout", f.Actions.ActionTimeout == 0},
		{"auth-timeout", f.Identity.AuthTimeout == 0},
		{"token-jwks-refresh", f.Identity.TokenJwksRefresh == 0},
		{"max-publish", f.Admin.MaxPublish == 0},
		{"idempotency-window", f.Admin.IdempotencyWindow == 0},
	} {
		if required.zero {
			return fmt.Errorf("--%s 0: there has to be a limit, more than 0", required.flag)
		}
	}
	switch {
	case f.Listen.Path == "":
		return errors.New("--path is empty: write one, as in /ws")
	case len(f.Identity.TokenFrom) == 0:
		return errors.New("--token-from is empty: write where tokens may be, as in header")
	case len(f.Listen.Listen) == 0:
		return errors.New("--listen is empty: write an address, as in :8066")
	}
	return nil
}
