// Package admin is the publisher's and operator's side of the server, over
// HTTP: publish, totals, health, profiles.
//
// The way of a request:
//
//	listener (a bounded number of connections)
//	  -> guard      who may ask: bearer token, or else local, and no foreign web page
//	  -> route      path and method; anything else is 404 or 405
//	  -> handler    asks the Backend, answers JSON; every error is problem+json (RFC 9457)
//
// Handlers run on goroutines of net/http and reach the clients only through
// the Backend.
package admin

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"wsd/server"
)

// Backend is what the handlers ask of the server. Any number of goroutines
// call it at once.
type Backend interface {
	// Ready is nil, or says why clients should not be sent here now.
	Ready() error
	// Stats are the totals since the start.
	Stats() server.Stats
	// Publish returns when every matching client was written to or has the
	// message waiting, or ctx ends.
	Publish(ctx context.Context, to server.Target, m server.Message) (server.Result, error)
}

// Config says where the admin side listens and who may use it.
type Config struct {
	// Listen is "host:port"; a host that is not loopback needs TokenFile.
	Listen string
	// TokenFile has the bearer token that every request must carry, health
	// checks excepted. "" means none: then only this machine is let in, and no
	// web page in its browsers.
	TokenFile string
	// MaxPublish is the limit of a published message in bytes; 0 means 1 MiB.
	MaxPublish int64
	// MaxConns bounds the connections open at once, further ones wait; 0 means
	// 128. Each takes a descriptor of the reserve that clients cannot have.
	MaxConns int
	// Logger gets what goes wrong; nil means slog.Default().
	Logger *slog.Logger
}

// Bounds of what strangers on the admin address can hold.
const (
	maxHeader     = 16 << 10
	headerTimeout = 5 * time.Second
	bodyTimeout   = 30 * time.Second
	answerTimeout = 60 * time.Second
	idleTimeout   = 60 * time.Second
)

// Server is the admin side, listening since New.
type Server struct {
	listener net.Listener
	http     *http.Server
}

// New opens the listener. Requests wait in its backlog until Serve. Errors name
// the flag, the value and what to do.
func New(cfg Config, backend Backend) (*Server, error) {
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	if cfg.MaxPublish == 0 {
		cfg.MaxPublish = 1 << 20
	}
	if cfg.MaxConns == 0 {
		cfg.MaxConns = 128
	}
	token, err := loadToken(cfg.TokenFile)
	if err != nil {
		return nil, err
	}
	l, err := listen(cfg.Listen, token != nil)
	if err != nil {
		return nil, err
	}
	api := &api{backend: backend, maxPublish: cfg.MaxPublish, log: cfg.Logger}
	g := &guard{token: token, configured: hostOnly(cfg.Listen), next: api.routes()}
	return &Server{listener: limitConns(l, cfg.MaxConns), http: &http.Server{
		Handler:           g,
		ReadHeaderTimeout: headerTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          slog.NewLogLogger(cfg.Logger.Handler(), slog.LevelWarn),
	}}, nil
}

// Addr is the address that was bound.
func (s *Server) Addr() string { return s.listener.Addr().String() }

// Serve answers requests until Close or Shutdown; then it returns nil.
func (s *Server) Serve() error {
	if err := s.http.Serve(s.listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("admin: %w", err)
	}
	return nil
}

// Shutdown lets the requests under way end, until ctx does.
func (s *Server) Shutdown(ctx context.Context) error {
	if err := s.http.Shutdown(ctx); err != nil {
		return s.http.Close()
	}
	return nil
}

// Close ends the admin side at once. It is for one that never served, too.
func (s *Server) Close() error {
	err := s.http.Close() // knows the listener only once it serves
	if closed := s.listener.Close(); !errors.Is(closed, net.ErrClosed) {
		err = errors.Join(err, closed)
	}
	return err
}
