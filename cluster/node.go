package cluster

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"

	"wsd/server"
)

// Server is what a node needs of the server whose clients it speaks for.
type Server interface {
	Join(c server.Cluster, tag uint16)
	SetTag(tag uint16)
	BeginHere(ctx context.Context, t server.Target, m server.Message) (server.OutcomeHere, error)
	PostHere(t server.Target, m server.Message) error
	TellHere(t server.Target, m server.Message) error
	Client(ctx context.Context, id uuid.UUID) (server.ClientInfo, bool)
	Clients(ctx context.Context, cursor string, limit int) ([]server.ClientInfo, string, error)
	CloseClient(ctx context.Context, id uuid.UUID, code int, reason string) bool
	CloseTopic(ctx context.Context, topic string, code int, reason string) (int, error)
	UserCount(name string) int
	OldestOfUser(ctx context.Context, name string) (id uuid.UUID, age time.Duration, ok bool, err error)
	Displace(ctx context.Context, id uuid.UUID) bool
	UserClients(ctx context.Context, user string, limit int) ([]server.ClientInfo, error)
	CloseUser(ctx context.Context, user string, code int, reason string) (int, error)
	Revoke(ctx context.Context, r server.Revocation) (int, error)
	RevokeAll(ctx context.Context, list []server.Revocation) (int, error)
	Unrevoke(user, token string) bool
	Revocations() []server.Revocation
	Subscribers(ctx context.Context, topic string) (int, error)
	Stats() server.Stats
	Connected() int
}

// Node is this process in its cluster. Make one with New.
type Node struct {
	// Set by New, then constant.
	cfg    Config
	server Server
	log    *slog.Logger
	prefix string    // of all subjects
	began  time.Time // what now counts from

	session atomic.Pointer[session]
	working sync.WaitGroup
	left    bool // for an upgrade; of who does that

	// Set by Start and Resume, then constant but while the process moves.
	name    string
	life    uint64
	since   time.Time // when this life began, for people
	subject string    // our own
	all     string    // of all nodes

	link      link
	members   members
	sender    sender
	tells     tells
	inbox     inbox
	reports   reports
	interest  interest
	keys      keys
	questions questions
	door      door
	counting  crew[counting]
	thinning  [thinsAt]crew[thinning] // by user

	requests requests
	tags     tags
	state    atomic.Int32
	beats    chan struct{} // holds a token when another node's has come
	count    counts
}

// New makes a node for a server, and has that join: it is for between server.New and
// Start. What cannot be meant is a server.ConfigError.
func New(cfg Config, s Server) (*Node, error) {
	cfg = cfg.withDefaults()
	if err := cfg.Check(); err != nil {
		return nil, err
	}
	n := &Node{cfg: cfg, server: s, log: cfg.Logger, prefix: "wsd." + cfg.Cluster + ".", began: time.Now(),
		name: cfg.Node, since: time.Now()}
	var b [10]byte
	_, _ = rand.Read(b[:]) // it never fails
	n.life = binary.LittleEndian.Uint64(b[:])
	n.all = n.prefix + "all"
	n.subject = n.subjectOf(n.name, n.life)
	n.tags.draw(binary.LittleEndian.Uint16(b[8:]))
	n.session.Store(newSession())
	n.beats = make(chan struct{}, 1)
	n.members.init()
	n.requests.init()
	n.inbox.init()
	n.sender.init()
	n.tells.init()
	n.reports.init()
	n.interest.init(cfg.Buckets)
	n.questions.init()
	n.door.init()
	n.keys.init(cfg.KeyWindow, max(cfg.Keys, 0))
	s.Join(n, n.tags.current())
	return n, nil
}

func (n *Node) subjectOf(name string, life uint64) string {
	return fmt.Sprintf("%sn.%s.%016x", n.prefix, name, life)
}

// now is a time on the clock that nobody sets.
func (n *Node) now() time.Duration { return time.Since(n.began) }

// Name is the node's.
func (n *Node) Name() string { return n.name }

// Start connects, and returns when the others that answer know of this node, or after
// a second and a half. The server is to start after it. Errors name what is wrong and are no more
// than the start's: what happens to the connection later is repaired by itself.
func (n *Node) Start(ctx context.Context) error {
	if err := n.connect(); err != nil {
		return err
	}
	n.work()
	if err := n.join(ctx); err != nil {
		n.Close()
		return err
	}
	n.setState(stateReady)
	return n.openDoor()
}

// work begins what runs beside the server.
func (n *Node) work() {
	n.sender.giveUpOut()
	n.working.Go(n.read)
	n.working.Go(n.deliver)
	n.working.Go(n.report)
	n.working.Go(n.tellAll)
	n.working.Go(n.sendAll)
	n.working.Go(n.announce)
	n.working.Go(n.admit)
	n.working.Go(n.tend)
}

// Drain tells the others that clients are being sent away. Messages for them are taken
// until Close.
func (n *Node) Drain() { n.setState(stateDraining) }

// SetPublish is Config.Publish for a node that is made already. It is for before Start.
func (n *Node) SetPublish(p Publish) { n.cfg.Publish = p }

// Close says goodbye and ends the node.
func (n *Node) Close() {
	ctx, cancel := context.WithTimeout(n.alive(), time.Second)
	defer cancel()
	n.closeDoor(ctx)
	n.flush()
	n.setState(stateGone)
	n.leave()
}

// session is the time from a connection to its end: an upgrade that fails has a second.
type session struct {
	ctx context.Context
	end context.CancelFunc
}

func newSession() *session {
	s := new(session)
	s.ctx, s.end = context.WithCancel(context.Background())
	return s
}

// alive ends with the node, or its session.
func (n *Node) alive() context.Context { return n.session.Load().ctx }

func (n *Node) leave() {
	n.session.Load().end()
	n.flush() // nobody else does any more
	n.link.close()
	n.working.Wait()
}

// check that a node is what the server asks for.
var _ server.Cluster = (*Node)(nil)

// connected says whether there is a connection to NATS.
func (n *Node) connected() bool { return n.link.up.Load() }

// send publishes to NATS. What cannot be sent now is not sent later.
func (n *Node) send(subject string, body []byte) error {
	conn := n.link.conn.Load()
	if conn == nil {
		return nats.ErrConnectionClosed
	}
	return conn.PublishRequest(subject, n.subject, body)
}
