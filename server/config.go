package server

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"time"

	"wsd/conn"
	"wsd/dispatch"
)

// Config is everything a Server can be told. The zero value works: it listens
// on :8066, serves /ws with the built-in actions, and has the defaults given
// here. New refuses what cannot be meant or is out of range, with a ConfigError:
// time-outs may be from 1 ms to 1,000 hours, sizes for one client up to 1 GiB. A
// negative value is refused, too, but for the fields that say what it means.
type Config struct {
	// Listen are the addresses for clients: "host:port", ":port", "unix:/path".
	// None means ":8066". A Server that is only mounted in another router
	// (Server.ServeHTTP) says []string{"none"}.
	Listen []string
	// ReusePort (SO_REUSEPORT) lets other processes of the same user listen on
	// the same TCP ports; the kernel deals newcomers out by a hash of their
	// addresses. Without it a second server is told that the address is in use.
	ReusePort bool
	// Inherited are descriptors that listen already, from systemd's socket
	// activation; they come beside Listen and are the server's from New on.
	Inherited []int
	// Inheritance is what an older process hands over (Inherit): its listeners take
	// the place of those of the same Listen, and its clients come with
	// Server.TakeOver. nil means that there is none.
	Inheritance *Inheritance
	// ProxyProtocol says that clients come through proxies alone, which begin each
	// connection with a header of the PROXY protocol (version 1 or 2), on all
	// listeners. ProxyFrom says which these are: networks ("192.0.2.0/24"), addresses,
	// and "unix" for whoever comes over a Unix socket. Everybody else is refused.
	// What a router hands over (Server.ServeHTTP) has no such header.
	ProxyProtocol bool
	ProxyFrom     []string
	// ForwardedFrom are the proxies whose X-Forwarded-For is believed, in the same
	// form: the client's address is the rightmost in it that is none of theirs.
	// Clients may come directly as well.
	ForwardedFrom []string
	// Path is where clients connect, "/ws" by default. EchoPath, off by
	// default, is where every message comes back with its opcode, with no
	// actions: for conformance suites and benchmarks. Equivalent spellings of a
	// path are one (RFC 3986, section 6.2.2; see conn.CanonicalPath).
	Path, EchoPath string
	// Mux has the actions; nil means the built-in ones alone.
	Mux *dispatch.Mux
	// Logger gets what happens to the server; clients that come and go are at
	// debug level. nil means slog.Default().
	Logger *slog.Logger
	// Accept has the last say on a handshake, after all other checks (say, to
	// look at a cookie). It runs on the client's loop and must not block.
	Accept func(*conn.Request) error

	// Auth says whether clients prove who they are when they connect; "" means AuthOff.
	// Who does is asked of Authenticate if that is set, otherwise of Mux.Authenticate.
	Auth AuthMode
	// TokenFrom lists where a token may be, in the order in which they are looked at:
	// TokenHeader, TokenProtocol, TokenQuery, TokenMessage. The first place that has one
	// counts. None means header, protocol and message. With TokenMessage the mux needs
	// the action auth (dispatch.Auth).
	TokenFrom []string
	// AuthTimeout is how soon a client has to send that message, when Auth is
	// AuthRequired; 0 means 5 s.
	AuthTimeout time.Duration
	// AuthRefuse is RefuseStatus or RefuseClose; "" means the first. Pages in browsers
	// see no status, but they see a close code.
	AuthRefuse string
	// TokenLeeway is how much longer than their tokens say clients stay, at most: what
	// the clocks of two machines may differ by. 0 means 30 s, negative none.
	TokenLeeway time.Duration
	// Authenticate, if set, says who a newcomer is: after all other checks of the
	// handshake, with or without a token. nil, nil is somebody anonymous, who is refused
	// if Auth is AuthRequired. It refuses with a dispatch.Error, an *conn.HTTPError, or
	// any other error, which the client does not get to read. It runs on a worker, up to
	// 16 at once for each loop, and may block until ctx ends.
	Authenticate func(ctx context.Context, n *Newcomer) (*Identity, error)
	// MaxPerUser bounds the clients of one user, at all nodes of a cluster together; 0
	// means no bound. MaxPerUserPolicy is what happens to one more: RefuseNew (429, or
	// close code 1008) or CloseOldest; "" means the first.
	MaxPerUser       int
	MaxPerUserPolicy string
	// Actions are patterns, as in Topics, of the actions that every client may ask for;
	// none means all. Others need a grant (Identity.Actions). heart_beat, whoami and
	// auth are always allowed.
	Actions []string

	// Loops is how many loops own the clients, at most 1024; 0 means GOMAXPROCS.
	Loops int

	// MaxClients is how many clients may be connected, joining ones included.
	// 0 means as many as the descriptor limit allows, which is never exceeded.
	MaxClients int
	// MaxHandshakes bounds handshakes under way at once; 0 means 4096.
	MaxHandshakes int
	// HandshakeRate bounds handshakes begun per second (burst: one second's
	// worth); 0 means no bound.
	HandshakeRate int
	// MaxPerAddress bounds clients per IP address (IPv6: per /64); 0 means no bound.
	// Addresses of proxies (ProxyFrom, ForwardedFrom) have none.
	MaxPerAddress int
	// RetryAfter is told to clients refused for now (503); they wait between
	// it and twice it. 0 means 5 s.
	RetryAfter time.Duration
	// Origins, Hosts and Subprotocols are allow-lists; empty ones allow all, and
	// so does "*" alone in the first two. See conn.CanonicalOrigin for what an
	// origin may be, conn.CanonicalHost for hosts; subprotocols are tokens, whose
	// case counts.
	Origins, Hosts, Subprotocols []string
	// MaxHeader is the limit of a handshake request in bytes, 256 to 1 MiB; 0
	// means 8 KiB.
	MaxHeader int

	// HandshakeTimeout is how long a handshake may take in all, from accept to
	// its blank line, however slowly it trickles; 0 means 10 s.
	HandshakeTimeout time.Duration
	// FirstMessageTimeout is how soon after the handshake a client has to send
	// its first message; 0 means no such deadline.
	FirstMessageTimeout time.Duration
	// IdleTimeout: a client silent for so long gets a ping; 0 means 60 s,
	// negative that nobody does, and that silence is no reason to be closed.
	IdleTimeout time.Duration
	// PongTimeout: silent for so long after that ping, it is closed; 0 means
	// 20 s. The two add up, whichever is longer: there is one ping, and who
	// says nothing is closed IdleTimeout + PongTimeout after its last byte.
	PongTimeout time.Duration
	// MessageTimeout is how long a message may take from its first byte to its
	// last, whatever control frames come in between; 0 means 60 s, negative that
	// there is no such limit.
	MessageTimeout time.Duration
	// CloseTimeout is how long the peer may take to answer a close; 0 means 5 s.
	CloseTimeout time.Duration
	// UserTimeout is how long sent data may stay unacknowledged (TCP_USER_TIMEOUT)
	// until a peer that vanished is given up. The kernel takes a peer for
	// vanished, too, that acknowledges but takes nothing. 0 means 10 s more than
	// PendingAge, and 30 s at least; negative the system's setting, which spares
	// who acknowledges. At most 596 hours.
	UserTimeout time.Duration

	// MaxMessage is the limit of a whole message in bytes; 0 means 64 KiB.
	MaxMessage int
	// MaxFragments is how many frames a message may be cut into, at most 65,535;
	// 0 means 1024, negative no bound but that of the message's bytes.
	MaxFragments int
	// MessageRate, ByteRate and ControlRate bound what one client may send per
	// second: messages, bytes, control frames (burst: two seconds' worth).
	// 0 means no bound for the first two and 50 for control frames, of which
	// a negative value means any number.
	MessageRate, ByteRate, ControlRate int

	// PendingLimit bounds the bytes that may wait for one client beyond what
	// the kernel took; 0 means 4 MiB. Each message counts 48 more, which is
	// what remembering it costs. A single message larger than the limit may wait
	// alone.
	PendingLimit int
	// PendingTotal bounds the memory, in bytes, that all clients together make the
	// server hold: unfinished messages, what waits to be sent, publishes under way
	// and running requests, a message for many counted once; 0 means 1 GiB, whatever
	// the machine has. Over it, who holds the most goes (of several, who has for the
	// longest), or with DropNew and DropOld loses messages that wait. Publishes under
	// way may take a quarter of it, running requests another: beyond that publishers
	// wait, and requests are answered by code 10.
	PendingTotal int64
	// PendingAge is how long the oldest of them may wait; 0 means 30 s.
	PendingAge time.Duration
	// SlowConsumer is what happens to a client at a limit.
	SlowConsumer Policy
	// NotsentLowat bounds what waits unsent in the kernel per client
	// (TCP_NOTSENT_LOWAT), in bytes; 0 means 128 KiB, negative the system's
	// setting.
	NotsentLowat int

	// ClientFanout allows every client is_broadcast and client_ids.
	ClientFanout bool
	// Topics are patterns of topics that clients may subscribe to; none means all.
	Topics []string
	// MaxTopicsPerClient and MaxTopics bound subscriptions of one client and
	// topics in all per loop; 0 means 64 and 1,000,000, negative no bound.
	MaxTopicsPerClient, MaxTopics int

	// Workers is how many pooled handlers run at once, at most 1,048,576; 0 means 256. When all are
	// busy the answer is code 10, at once.
	Workers int
	// ActionTimeout is how long a pooled handler may take, or the answer of a
	// later action, before its client gets code 10 and goes on; 0 means 10 s.
	ActionTimeout time.Duration

	// DrainTime is the time over which the clients are closed when the server
	// stops; 0 means 10 s, negative means all at once.
	DrainTime time.Duration
}

// Policy is what happens when a client does not take what is sent to it.
type Policy int

const (
	// CloseSlow closes the client with code 1008. It comes back and gets fresh data.
	CloseSlow Policy = iota
	// DropNew leaves out the message that does not fit.
	DropNew
	// DropOld leaves out the oldest waiting messages until the new one fits.
	DropOld
)

var policyNames = [...]string{CloseSlow: "close", DropNew: "drop-new", DropOld: "drop-old"}

func (p Policy) String() string { return policyNames[p] }

// MarshalText gives the name used on the command line.
func (p Policy) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// UnmarshalText takes "close", "drop-new" or "drop-old".
func (p *Policy) UnmarshalText(text []byte) error {
	for i, name := range policyNames {
		if name == string(text) {
			*p = Policy(i)
			return nil
		}
	}
	return fmt.Errorf("%q is no policy for slow consumers: use close, drop-new or drop-old", text)
}

func (p Policy) valid() bool { return p >= 0 && int(p) < len(policyNames) }

// complete fills in the defaults and checks the rest.
func (c *Config) complete() error {
	if len(c.Listen) == 0 {
		c.Listen = []string{":8066"}
	}
	if c.Path == "" {
		c.Path = "/ws"
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if c.Mux == nil {
		c.Mux = dispatch.NewMux()
		dispatch.Builtins(c.Mux)
		if c.Auth == AuthOptional || c.Auth == AuthRequired {
			dispatch.Auth(c.Mux)
		}
	}
	def(&c.Auth, AuthOff)
	def(&c.AuthRefuse, RefuseStatus)
	def(&c.MaxPerUserPolicy, RefuseNew)
	def(&c.AuthTimeout, 5*time.Second)
	def(&c.TokenLeeway, 30*time.Second)
	if len(c.TokenFrom) == 0 {
		c.TokenFrom = []string{TokenHeader, TokenProtocol, TokenMessage}
	}
	def(&c.Loops, runtime.GOMAXPROCS(0))
	def(&c.MaxHandshakes, 4096)
	def(&c.MaxHeader, conn.DefaultMaxHeader)
	def(&c.MaxMessage, conn.DefaultMaxMessage)
	def(&c.MaxFragments, conn.DefaultMaxFragments)
	def(&c.ControlRate, 50)
	def(&c.PendingLimit, 4<<20)
	def(&c.PendingTotal, 1<<30)
	def(&c.NotsentLowat, 128<<10)
	def(&c.MaxTopicsPerClient, 64)
	def(&c.MaxTopics, 1_000_000)
	def(&c.Workers, 256)
	def(&c.RetryAfter, 5*time.Second)
	def(&c.HandshakeTimeout, 10*time.Second)
	def(&c.IdleTimeout, time.Minute)
	def(&c.MessageTimeout, time.Minute)
	def(&c.PongTimeout, 20*time.Second)
	def(&c.CloseTimeout, 5*time.Second)
	def(&c.PendingAge, 30*time.Second)
	def(&c.ActionTimeout, 10*time.Second)
	def(&c.DrainTime, 10*time.Second)
	c.fit()
	return c.check()
}

func def[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// Complete returns the configuration as New makes it, with its defaults, and
// names in the form that requests are compared with, or the ConfigError that New
// would return. It opens nothing.
func (c Config) Complete() (Config, error) {
	err := c.complete()
	return c, err
}

// check refuses what cannot be meant.
func (c *Config) check() error {
	if !c.SlowConsumer.valid() {
		return &ConfigError{"SlowConsumer", int(c.SlowConsumer), "want CloseSlow, DropNew or DropOld"}
	}
	if err := c.checkNames(); err != nil {
		return err
	}
	if err := c.checkAuth(); err != nil {
		return err
	}
	return c.checkRanges()
}

// proofTime is AuthTimeout where somebody has to keep it, otherwise 0.
func (c *Config) proofTime() time.Duration {
	if c.Auth == AuthRequired && slices.Contains(c.TokenFrom, TokenMessage) {
		return c.AuthTimeout
	}
	return 0
}

// tick is how fine time-outs are: a sixteenth of the shortest one, between
// 10 ms and half a second. A tick is a wake-up per loop.
func (c *Config) tick() time.Duration {
	shortest := 8 * time.Second
	for _, d := range []time.Duration{c.HandshakeTimeout, c.FirstMessageTimeout, c.IdleTimeout, c.PongTimeout, c.MessageTimeout,
		c.CloseTimeout, c.PendingAge, c.ActionTimeout, c.DrainTime, c.proofTime()} {
		if d > 0 {
			shortest = min(shortest, d)
		}
	}
	return min(max(shortest/16, 10*time.Millisecond), 500*time.Millisecond)
}
