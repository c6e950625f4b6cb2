// Package admin is the publisher's and operator's side of the server, over
// HTTP: publish, totals, health, profiles.
//
// The way of a request:
//
//	listener (a bounded number of connections)
//	  -> door       what it may hold up: health checks have room, strangers little
//	  -> turnstile  waits, or goes on to a newer process, while clients are handed over
//	  -> guard      who may ask: bearer token, or else local, and no foreign web page
//	  -> route      path and method; anything else is 404 or 405
//	  -> handler    asks the Backend, answers JSON; every error is problem+json (RFC 9457)
//
// Handlers run on goroutines of net/http and reach the clients only through
// the Backend.
package admin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync/atomic"
	"time"

	"wsd/server"
)

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
	// IdempotencyWindow is how long the answer to a publish with an idempotency
	// key is remembered, and IdempotencyKeys how many are, at some 400 bytes each.
	// 0 means 10 minutes and 10,000; negative IdempotencyKeys: they are refused.
	IdempotencyWindow time.Duration
	IdempotencyKeys   int
	// Version of the program, and the URL path where clients connect: both are
	// shown on the status page.
	Version, Path string
	// MaxConns bounds the connections open at once; 0 means 128. When one more comes,
	// one of a stranger is closed for it, or one without a request. An eighth of them,
	// at least one, is kept free of long requests, for health checks; strangers are
	// answered on another eighth. Each connection takes a descriptor of the reserve
	// that clients cannot have.
	MaxConns int
	// Logger gets what goes wrong; nil means slog.Default().
	Logger *slog.Logger
	// LogDropped, if set, says how many lines of the log were dropped because
	// nobody took them.
	LogDropped func() uint64
	// Cluster is the cluster that the server is a node of; nil: none.
	Cluster Cluster
	// KeySetReads, if set, says how often JSON Web Key Sets of clients' tokens were read,
	// and could not be.
	KeySetReads func() (ok, failed uint64)
	// Inherited is the listening socket, as File of an older process returns it. New
	// takes it over. nil: New opens one on Listen.
	Inherited *os.File
}

// Bounds of what strangers on the admin address can hold.
const (
	maxHeader     = 64 << 10 // a thousand client ids in a query
	headerTimeout = 5 * time.Second
	bodyTimeout   = 30 * time.Second
	answerTimeout = 60 * time.Second
	idleTimeout   = 60 * time.Second

	strangerTimeout = 5 * time.Second // to take an answer, without the token
)

// mostPublish is what the server takes at most.
const mostPublish = 1 << 30

// Server is the admin side, listening since New.
type Server struct {
	listener  *limitListener
	turnstile *turnstile
	token     *bearer     // nil: none
	gone      atomic.Bool // to another process
	once      *once
	http      *http.Server
	end       context.CancelFunc // tells streams to end
}

// withDefaults fills in what was left 0.
func (cfg Config) withDefaults() Config {
	cfg.Logger = cmp.Or(cfg.Logger, slog.Default())
	cfg.MaxPublish = cmp.Or(cfg.MaxPublish, 1<<20)
	cfg.MaxConns = cmp.Or(cfg.MaxConns, 128)
	cfg.IdempotencyWindow = cmp.Or(cfg.IdempotencyWindow, 10*time.Minute)
	cfg.IdempotencyKeys = cmp.Or(cfg.IdempotencyKeys, 10_000)
	cfg.Path = cmp.Or(cfg.Path, "/ws")
	if cfg.LogDropped == nil {
		cfg.LogDropped = func() uint64 { return 0 }
	}
	if cfg.KeySetReads == nil {
		cfg.KeySetReads = func() (ok, failed uint64) { return 0, 0 }
	}
	return cfg
}

// Check returns a server.ConfigError if New would refuse the configuration as
// it stands, without opening anything.
func (cfg Config) Check() error {
	cfg = cfg.withDefaults()
	switch {
	case cfg.MaxPublish < 1 || cfg.MaxPublish > mostPublish:
		return &server.ConfigError{Field: "MaxPublish", Value: cfg.MaxPublish, Want: "want 1 byte to 1GiB"}
	case cfg.IdempotencyWindow < time.Millisecond:
		return &server.ConfigError{Field: "IdempotencyWindow", Value: cfg.IdempotencyWindow, Want: "want at least 1ms"}
	}
	return checkAddress(cfg.Listen)
}

// New opens the listener. Requests wait in its backlog until Serve. What cannot
// be meant is a server.ConfigError.
func New(cfg Config, backend Backend) (*Server, error) {
	cfg = cfg.withDefaults()
	if err := cfg.Check(); err != nil {
		return nil, err
	}
	token, err := newBearer(cfg.TokenFile)
	if err != nil {
		return nil, err
	}
	l, err := listen(cfg.Listen, token != nil, cfg.Inherited)
	if err != nil {
		return nil, err
	}
	ending, end := context.WithCancel(context.Background())
	api := newAPI(ending, cfg, backend)
	api.conns.Listener = l
	g := &guard{token: token, configured: hostOnly(cfg.Listen), next: api.routes()}
	api.turnstile.next = g
	h := &http.Server{
		Handler:           newDoor(g, api.turnstile, api.conns),
		ReadHeaderTimeout: headerTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          errorLog(cfg.Logger),
		ConnState:         api.conns.note,
		ConnContext:       withConn,

		DisableGeneralOptionsHandler: true, // "OPTIONS *" is a request as any other
	}
	h.RegisterOnShutdown(end)
	return &Server{listener: api.conns, turnstile: api.turnstile, token: token, once: api.once, http: h, end: end}, nil
}

// Addr is the address that was bound.
func (s *Server) Addr() string { return s.listener.Addr().String() }

// Serve answers requests until Close, Shutdown or Forward; then it returns nil.
func (s *Server) Serve() error {
	if err := s.http.Serve(s.listener); !errors.Is(err, http.ErrServerClosed) && !s.gone.Load() {
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
	s.end()
	err := s.http.Close() // knows the listener only once it serves
	if closed := s.listener.Close(); !errors.Is(closed, net.ErrClosed) {
		err = errors.Join(err, closed)
	}
	return err
}
