// Package server joins the leaves: loops that own clients and read, answer and
// write to them over netpoll, conn and dispatch; admission, fan-out, slow
// consumers, time-outs and the graceful stop.
//
//	s, err := server.New(server.Config{Mux: mux})
//	...
//	err = s.Start()
//	...
//	err = s.Stop(ctx, false)
//
// All methods of Server are safe for concurrent use.
package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gobwas/ws"
	"github.com/google/uuid"
	"github.com/panjf2000/ants/v2"

	"wsd/conn"
	"wsd/dispatch"
	"wsd/netpoll"
	"wsd/topic"
)

// Server holds the clients. Make one with New.
type Server struct {
	// Constant after New.
	cfg       Config
	log       *slog.Logger
	debug     bool
	mux       *dispatch.Mux
	constants [][]byte // compiled frames of constant answers, by action index
	protocol  conn.Protocol
	upgrader  conn.Upgrader
	auth      authRules
	limits    Limits
	addrs     []string
	// proxies speak the PROXY protocol, forwarders write X-Forwarded-For.
	proxies, forwarders trust
	loops               []*loop
	watcher             *netpoll.Watcher
	runners             *ants.Pool // workers that run loops
	workers             *ants.Pool // workers that run pooled handlers
	ctx                 context.Context
	cancel              context.CancelFunc
	began               time.Time // of the first process, by the wall clock, after a handover
	made                time.Time

	population population

	unspent    atomic.Int64 // of the handshake rate, by those who were refused for another limit
	keptOut    atomic.Int64 // Server.age of the last one refused for want of a place, 0: nobody since one was let in
	backingOff atomic.Bool  // nobody is accepted for the moment
	memory     account
	lastShed   atomic.Int64 // Server.age when somebody had to go for want of memory, 0: never
	publishes  atomic.Uint64
	unmatched  atomic.Uint64 // those of them that concerned no loop
	topicLoops *topicLoops
	cluster    Cluster // nil: the server is in none; set before it starts
	users      *users
	panics     atomic.Uint64 // in what the application has run on loops
	backlog    backlog
	ids        ids

	revocations revocations
	wall        func() time.Time // by which tokens expire

	// handoverLock is locked while the clients are being handed over, and open
	// to any number of publishers otherwise.
	handoverLock sync.RWMutex
	gone         bool // under handoverLock: they went
	handing      atomic.Bool

	started  atomic.Bool
	draining atomic.Bool
	stopping atomic.Bool
	running  sync.WaitGroup // loops
	swept    chan struct{}  // closed when nobody is accepted any more
	ended    chan struct{}  // closed when the loops are over
	stopped  chan struct{}  // closed when Stop is
}

// New checks the configuration, opens the listeners and makes the loops. The
// server serves nobody before Start; Stop releases what New took, too.
func New(cfg Config) (*Server, error) {
	if err := cfg.complete(); err != nil {
		return nil, err
	}
	s := &Server{cfg: cfg, log: cfg.Logger, mux: cfg.Mux, began: time.Now(), made: time.Now(),
		swept: make(chan struct{}), ended: make(chan struct{}), stopped: make(chan struct{}),
		backlog: backlog{room: make(chan struct{}, 1)}, population: population{empty: make(chan struct{}, 1)},
		topicLoops: newTopicLoops(), users: newUsers(), wall: time.Now, proxies: trustOf(cfg.ProxyFrom), forwarders: trustOf(cfg.ForwardedFrom)}
	s.debug = s.log.Enabled(context.Background(), slog.LevelDebug)
	s.memory.limit.Store(cfg.PendingTotal)
	s.backlog.most = min(publishBytes, s.memory.share())
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.protocol = conn.Protocol{MaxMessage: cfg.MaxMessage, MaxFragments: cfg.MaxFragments, Frames: framesAtOnce}
	s.upgrader = conn.Upgrader{MaxHeader: cfg.MaxHeader, Hosts: cfg.Hosts, Origins: cfg.Origins,
		Protocols: cfg.Subprotocols, TokenProtocol: tokenPrefix, Route: s.route, Date: appendDate}
	for _, c := range cfg.Conflicts() {
		c.Log(s.log)
	}
	if cfg.Accept != nil {
		s.upgrader.Accept = s.accept
	}
	s.auth = s.authRules()
	s.compileConstants()
	if err := s.build(); err != nil {
		s.discard()
		s.release()
		return nil, err
	}
	return s, nil
}

func (s *Server) route(path []byte) bool {
	return conn.SamePath(s.cfg.Path, path) || s.echoes(path)
}

func (s *Server) echoes(path []byte) bool {
	return s.cfg.EchoPath != "" && conn.SamePath(s.cfg.EchoPath, path)
}

// accept is Config.Accept; if that panics, the answer is 500.
func (s *Server) accept(r *conn.Request) (err error) {
	var panicked error
	defer func() {
		if panicked != nil {
			err = &conn.HTTPError{Status: 500, Reason: "internal error"}
		}
	}()
	defer s.caught("Accept", &panicked)
	return s.cfg.Accept(r)
}

func (s *Server) compileConstants() {
	actions := s.mux.Actions()
	s.constants = make([][]byte, len(actions))
	for _, a := range actions {
		if a.Constant != nil {
			s.constants[a.Index] = conn.Compile(ws.OpText, a.Constant)
		}
	}
}

// build makes everything that can fail.
func (s *Server) build() (err error) {
	if s.limits, err = limitsFor(s.cfg.MaxClients, s.cfg.Loops); err != nil {
		return err
	}
	if s.watcher, err = netpoll.NewWatcher(s.watcherFailed); err != nil {
		return fmt.Errorf("making the watcher: %w", err)
	}
	// Room for twice the loops: a worker that has given its loop back may
	// still be on its way into the pool when the loop needs the next.
	if s.runners, err = ants.NewPool(2*s.cfg.Loops, ants.WithExpiryDuration(time.Minute), ants.WithPanicHandler(loopPanicked)); err != nil {
		return err
	}
	// Non-blocking: when all are busy the answer is "busy", at once, and never
	// a loop that waits for a worker that waits for the loop.
	if s.workers, err = ants.NewPool(s.cfg.Workers, ants.WithNonblocking(true), ants.WithExpiryDuration(time.Minute)); err != nil {
		return err
	}
	for i := range s.cfg.Loops {
		l, err := s.newLoop(i)
		if err != nil {
			return fmt.Errorf("making loop %d of %d: %w", i+1, s.cfg.Loops, err)
		}
		s.loops = append(s.loops, l)
	}
	return s.listen()
}

// loopPanicked does not let the pool swallow a panic of the loop's own (those
// of handlers are caught where they are called): its clients would stay
// connected to nobody.
func loopPanicked(v any) { panic(v) }

func (s *Server) watcherFailed(err error) {
	s.log.Error("the watcher is gone: loops that go idle stay so", "error", err)
}

// directoryRoom is for how many clients a loop's directory has room from the start,
// 300 KB: one that grows leaves as much behind for the collector as it takes.
const directoryRoom = 1 << 15

func (s *Server) newLoop(i int) (*loop, error) {
	poll, err := netpoll.NewPoller()
	if err != nil {
		return nil, err
	}
	start := time.Now()
	l := &loop{
		server: s, number: i, poll: poll, start: start, tick: s.cfg.tick(),
		events:  make([]netpoll.Event, batch),
		scratch: make([]byte, readSize), out: make([]byte, 0, flushSize),
		nanos:  func() int64 { return int64(time.Since(start)) },
		topics: topic.Table{MaxPerClient: s.cfg.MaxTopicsPerClient, MaxTopics: s.cfg.MaxTopics},
	}
	s.topicLoops.watch(&l.topics, i)
	l.byID = newDirectory(&l.clients, min(s.limits.MaxClients/s.cfg.Loops, directoryRoom))
	l.count.actions = make([]actionCounters, len(s.constants))
	if err := poll.Tick(l.tick); err != nil {
		_ = poll.Close()
		return nil, err
	}
	return l, nil
}

func (s *Server) options() netpoll.Options {
	return netpoll.Options{UserTimeout: max(s.cfg.UserTimeout, 0), NotsentLowat: max(s.cfg.NotsentLowat, 0)}
}

func (s *Server) listen() error {
	a := &acceptor{reserve: -1, refilled: time.Now(), tokens: float64(s.cfg.HandshakeRate), dealt: make([][]newcomer, len(s.loops))}
	s.loops[0].accept = a
	take := func(asked string, ln *netpoll.Listener) {
		a.listeners, a.asked = append(a.listeners, ln), append(a.asked, asked)
		s.addrs = append(s.addrs, ln.Addr())
	}
	for _, fd := range s.cfg.Inherited {
		ln, err := netpoll.Inherit(fd)
		if err != nil {
			return err
		}
		take("", ln)
	}
	for {
		ln, err := s.cfg.Inheritance.listener("") // what an older process had inherited
		if err != nil {
			return err
		}
		if ln == nil {
			break
		}
		take("", ln)
	}
	for _, addr := range s.cfg.Listen {
		if addr == "none" {
			continue
		}
		ln, err := s.listenOn(addr)
		if err != nil {
			return err
		}
		take(addr, ln)
	}
	// One that came from elsewhere has none of our options, or those of an older
	// configuration; its clients have what it has. One of another protocol than
	// TCP (MPTCP, say) may not know them all, and serves with what it knows.
	for _, ln := range a.listeners {
		if err := netpoll.Adopt(ln.Fd(), s.options()); err != nil {
			s.log.Warn("a listening socket does not take all options", "address", ln.Addr(), "error", err)
		}
	}
	var err error
	a.reserve, err = netpoll.Reserve()
	return err
}

// listenOn opens a listener, or takes over an older process's for that address.
func (s *Server) listenOn(addr string) (*netpoll.Listener, error) {
	if ln, err := s.cfg.Inheritance.listener(addr); ln != nil || err != nil {
		return ln, err
	}
	o := s.options()
	o.ReusePort = s.cfg.ReusePort && !strings.HasPrefix(addr, "unix:")
	return netpoll.Listen(addr, o)
}

// Start begins to serve and returns at once. After an error, too, the server
// has to be stopped.
func (s *Server) Start() error {
	if !s.started.CompareAndSwap(false, true) { // Stop does the same: one of the two is first
		return errors.New("the server was started, or stopped, before")
	}
	var err error
	for _, l := range s.loops {
		if err == nil {
			err = s.startLoop(l)
		}
		if err != nil { // it will not run: what it holds is given back here
			if s.cfg.Inheritance != nil {
				l.detach() // the older process's
			}
			l.shut()
			_ = l.poll.Close()
		}
	}
	go func() {
		s.running.Wait()
		close(s.ended)
	}()
	return err
}

// startLoop has the watcher run l when there is something to do.
func (s *Server) startLoop(l *loop) error {
	if l.accept != nil {
		if err := l.accept.arm(l); err != nil {
			return err
		}
	}
	s.running.Add(1)
	if err := s.watcher.Watch(l.poll, s.runner(l)); err != nil {
		s.running.Done()
		return err
	}
	return nil
}

// runner is what the watcher calls: it has a worker run the loop. There is
// always one free, or about to be.
func (s *Server) runner(l *loop) func() {
	run := l.run
	return func() {
		if err := s.runners.Submit(run); err != nil {
			s.log.Error("no worker runs the loop", "loop", l.number, "error", err)
		}
	}
}

func (s *Server) loopEnded(l *loop) {
	_ = s.watcher.Forget(l.poll)
	_ = l.poll.Close()
	s.running.Done()
}

func (s *Server) newID() uuid.UUID { return s.ids.next() }

// Addrs are the addresses the server listens on, with the ports it got.
func (s *Server) Addrs() []string { return s.addrs }

// Limits tells what the server can hold.
func (s *Server) Limits() Limits { return s.limits }

func itoa(n int) string { return strconv.Itoa(n) }
