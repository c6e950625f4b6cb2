// Package embed runs a NATS server inside the process, so that a cluster needs no
// other program. The servers of the nodes find each other and form a full mesh.
//
// It listens for other servers on one address, for clients only inside the process
// and, if that is wanted, on a second address for neighbours on the same host.
package embed

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// Config says where the server listens and whom it connects to.
type Config struct {
	// Cluster is the name that all servers of the mesh have in common.
	Cluster string
	// Name is this server's, for people. Two of the same name would not talk to each
	// other, and never find out why: NATS gets a few random digits along.
	Name string
	// Listen is where the servers of other nodes connect, "host:port"; "" means that
	// there are none, and this server is for Clients alone.
	Listen string
	// Peers are addresses of other nodes, "host:port", of which one is enough: it tells
	// of the others. A name stands for all its addresses but this server's own, and is
	// looked up again and again, as that of a headless service needs it.
	Peers []string
	// Known are further addresses of other nodes. A process that has taken over knows
	// them from the older one, and need not wait until the others try again.
	Known []string
	// Clients is where programs without a server of their own connect, "host:port"; ""
	// means nowhere.
	Clients string
	// Secret is what nodes, and those programs, prove to each other that they know; ""
	// means none.
	Secret string
	// TLS, if set, is for the connections among nodes, and for those of such programs.
	TLS *tls.Config
	// MaxPayload is the largest message in bytes.
	MaxPayload int
	// WriteDeadline is how long a program may take nothing of what is sent to it, until
	// it is disconnected; 0 means 2 s.
	WriteDeadline time.Duration
	// Logger gets what goes wrong; nil means slog.Default().
	Logger *slog.Logger

	// For tests: where names are looked up, and how often.
	lookup      func(ctx context.Context, host string) ([]string, error)
	lookupEvery time.Duration
}

// user is the name that goes with the secret.
const user = "wsd"

// How a peer that is not there is noticed, and what a slow one may have pending.
// With NATS's own values a cut is noticed after minutes. Each ping wakes two idle
// processes, and so does its answer.
const (
	pingInterval  = 3 * time.Second
	pingsOut      = 2
	writeDeadline = 2 * time.Second
	maxPending    = 16 << 20
	// routeRetries is how often a node that was found by hearsay is tried again, once a
	// second, when it is gone: for an hour. Config.Peers are tried for ever.
	routeRetries = 3600
	startTimeout = 5 * time.Second
)

// Server is a running one.
type Server struct {
	cfg      Config
	nats     *server.Server
	base     *server.Options // as configured; the server fills in its defaults
	log      *logger
	password string
	stopped  chan struct{}
	stop     sync.Once

	found []string // addresses of names that are routes; of follow
}

// Error says what kept the server from starting, or from finding others. Field is
// that of Config which is to be changed.
type Error struct {
	Field, Value string
	Err          error
}

func (e *Error) Error() string { return fmt.Sprintf("%s %s: %v", e.Field, e.Value, e.Err) }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Start starts a server and returns when it takes connections. Errors are of type
// *Error.
func Start(cfg Config) (*Server, error) {
	s := &Server{cfg: cfg, log: &logger{log: cfg.Logger}, password: cfg.Secret, stopped: make(chan struct{})}
	s.cfg.lookupEvery = cmp.Or(s.cfg.lookupEvery, lookupEvery)
	if s.cfg.lookup == nil {
		s.cfg.lookup = net.DefaultResolver.LookupHost
	}
	if s.log.log == nil {
		s.log.log = slog.Default()
	}
	if s.password == "" {
		s.password = random()
	}
	o, err := s.options()
	if err != nil {
		return nil, err
	}
	s.base = o
	if s.nats, err = server.NewServer(o); err != nil {
		return nil, s.wrong(err)
	}
	s.nats.SetLoggerV2(s.log, false, false, false)
	go s.nats.Start()
	until := time.Now().Add(startTimeout)
	for !s.nats.ReadyForConnections(10 * time.Millisecond) {
		if err := s.failure(); err != nil {
			s.nats.Shutdown()
			return nil, err
		}
		if time.Now().After(until) {
			s.nats.Shutdown()
			return nil, s.wrong(errors.New("the server inside did not start in time"))
		}
	}
	if err := s.failure(); err != nil {
		s.nats.Shutdown()
		return nil, err
	}
	if len(s.cfg.names()) > 0 {
		go s.follow()
	}
	return s, nil
}

// failure is what the server called fatal while it started.
func (s *Server) failure() error {
	text := s.log.fatal.Load()
	if text == nil {
		return nil
	}
	if s.cfg.Clients != "" && s.nats.Addr() == nil {
		return &Error{"Clients", s.cfg.Clients, errors.New(*text)}
	}
	return s.wrong(errors.New(*text))
}

// wrong is an error about where the server listens.
func (s *Server) wrong(err error) error {
	if s.cfg.Listen == "" {
		return &Error{"Clients", s.cfg.Clients, err}
	}
	return &Error{"Listen", s.cfg.Listen, err}
}

func random() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // it never fails
	return hex.EncodeToString(b[:])
}

func (s *Server) options() (*server.Options, error) {
	var err error
	o := &server.Options{
		ServerName: s.cfg.Name + "-" + random()[:8], Host: "127.0.0.1", Port: server.RANDOM_PORT,
		NoSigs: true, NoSystemAccount: true, NoLog: true, MaxPayload: int32(s.cfg.MaxPayload), MaxPending: maxPending, WriteDeadline: cmp.Or(s.cfg.WriteDeadline, writeDeadline),
		// Not Username and Password: whoever came by those is disconnected by each reload.
		Users: []*server.User{{Username: user, Password: s.password}},
		// A slow node must not slow down those who send to it.
		NoFastProducerStall: true,
	}
	if s.cfg.Listen != "" {
		if o.Cluster, err = s.mesh(); err != nil {
			return nil, err
		}
	}
	if s.cfg.Clients != "" {
		if o.Host, o.Port, err = split(s.cfg.Clients); err != nil {
			return nil, &Error{"Clients", s.cfg.Clients, err}
		}
		o.PingInterval, o.MaxPingsOut = pingInterval, pingsOut
		if s.cfg.Secret == "" {
			o.Users = nil
		}
		if s.cfg.TLS != nil {
			o.TLSConfig, o.TLSTimeout, o.TLSVerify = s.cfg.TLS, 5, true
		}
	}
	if o.Routes, err = s.routes(); err != nil {
		return nil, err
	}
	return o, nil
}

// mesh is how the servers of other nodes connect.
func (s *Server) mesh() (c server.ClusterOpts, err error) {
	host, port, err := split(s.cfg.Listen)
	if err != nil {
		return c, &Error{"Listen", s.cfg.Listen, err}
	}
	// One connection to each other server: with a pool, even of one, there is a second
	// for an account that nobody uses, with pings of its own.
	c = server.ClusterOpts{Name: s.cfg.Cluster, Host: host, Port: port, PoolSize: -1, ConnectRetries: routeRetries,
		PingInterval: pingInterval, MaxPingsOut: pingsOut, WriteDeadline: writeDeadline, TLSConfig: s.cfg.TLS, TLSTimeout: 5,
		Compression: server.CompressionOpts{Mode: server.CompressionOff}}
	if s.cfg.Secret != "" {
		c.Username, c.Password, c.AuthTimeout = user, s.cfg.Secret, 5
	}
	if ip := net.ParseIP(host); ip != nil && !ip.IsUnspecified() {
		// Else the others tell of this server by the address that its connections come
		// from, where it may not listen.
		c.Advertise = net.JoinHostPort(host, "0") // the port is where it listens
	}
	return c, nil
}

// routes are the URLs of other nodes.
func (s *Server) routes() ([]*url.URL, error) {
	addresses := slices.Concat(s.cfg.Peers, s.cfg.Known)
	slices.Sort(addresses)
	var list []*url.URL
	for _, address := range slices.Compact(addresses) {
		if _, _, err := split(address); err != nil {
			return nil, &Error{"Peers", address, err}
		}
		list = append(list, s.route(address))
	}
	return list, nil
}

// split takes "host:port"; a port of 0 is any that is free.
func split(address string) (host string, port int, err error) {
	host, text, err := net.SplitHostPort(address)
	if err != nil {
		return "", 0, errors.New("write host:port, as in 10.0.0.1:6222")
	}
	port, err = strconv.Atoi(text)
	if err != nil || port < 0 || port > 65535 {
		return "", 0, fmt.Errorf("%q is no port", text)
	}
	if port == 0 {
		port = server.RANDOM_PORT
	}
	return host, port, nil
}

// Conn is a connection from inside the process. It is what nats.InProcessServer asks
// for.
func (s *Server) Conn() (net.Conn, error) { return s.nats.InProcessConn() }

// InProcessConn is Conn, by the name that the client library knows.
func (s *Server) InProcessConn() (net.Conn, error) { return s.Conn() }

// Login is the user and the password for Conn; both are empty if anybody may connect.
func (s *Server) Login() (name, password string) {
	if s.cfg.Clients != "" && s.cfg.Secret == "" {
		return "", ""
	}
	return user, s.password
}

// Addr is where other nodes connect.
func (s *Server) Addr() string {
	if a := s.nats.ClusterAddr(); a != nil {
		return a.String()
	}
	return s.cfg.Listen
}

// ClientsAddr is where programs without a server connect, "" if nowhere.
func (s *Server) ClientsAddr() string {
	if a := s.nats.Addr(); s.cfg.Clients != "" && a != nil {
		return a.String()
	}
	return ""
}

// Refused says that another node has refused this one, or this one another, because
// their secrets or certificates differ. It is nil while nobody has.
func (s *Server) Refused() error { return s.log.refusal() }

// Stop ends the server. What it has taken from inside the process is sent first.
func (s *Server) Stop() {
	s.stop.Do(func() { close(s.stopped) })
	s.nats.Shutdown()
}
