package cluster

import (
	"cmp"
	"crypto/rand"
	"encoding/hex"
	"log/slog"
	"net"
	"os"
	"regexp"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"wsd/server"
)

// Config says which cluster a node belongs to, and how it reaches the others.
type Config struct {
	// Cluster is the name of the cluster: 1 to 64 letters, digits, "-" and "_".
	Cluster string
	// Node is this node's name, in the same characters; no two nodes may have the
	// same. "" means that of the host, with four random digits.
	Node string
	// Version is the program's, for people.
	Version string
	// Embed starts a NATS server inside the process; known are addresses of others that
	// it is to connect to, beside those that it is configured with. nil means that there is one
	// elsewhere, at URL.
	Embed func(known []string) (Embedded, error)
	// URL is that of an external NATS server, or several with commas, and Options say
	// how to log in there.
	URL     string
	Options []nats.Option

	// Expect is how many nodes there are. While fewer are known, no answer is complete.
	// 0 means that nobody knows.
	Expect int
	// Buckets is how many this node deals topics to, so that others know which of their
	// publishes have to come here: a power of two from 65,536 to 1,048,576. Each takes two
	// bytes here, and a bit at each other node, where there may be other numbers. 0 means
	// 65,536.
	Buckets int
	// SubscribeWait is how long the answer to a subscribe waits for other nodes to hear
	// of it; 0 means 250 ms.
	SubscribeWait time.Duration
	// Forget is how long a node that is gone without a word is missing; 0 means 5 minutes.
	Forget time.Duration
	// KeyWindow is how long this node remembers what it did for a publish with a key, and
	// Keys how many of them it remembers, at some 200 bytes each; 0 means 10 minutes and
	// 10,000, negative Keys none.
	KeyWindow time.Duration
	Keys      int
	// MaxPublish is the largest message in bytes that publishers may send; 0 means 1 MiB.
	MaxPublish int
	// Publish takes what publishers send over NATS; nil: nobody does.
	Publish Publish
	// Logger gets what happens to the cluster; nil means slog.Default().
	Logger *slog.Logger
}

// Embedded is a NATS server inside the process (package cluster/embed).
type Embedded interface {
	// InProcessConn is a new connection to it.
	InProcessConn() (net.Conn, error)
	// Login is the user and the password for that.
	Login() (user, password string)
	// Addr is where other nodes' servers connect.
	Addr() string
	// Refused says that it and another server do not trust each other; nil: they do.
	Refused() error
	// Stop ends it.
	Stop()
}

// The bounds of what waits in a node, beyond which it is behind.
const (
	inboxMessages = 4096     // publishes of other nodes that have come and not begun
	inboxBytes    = 64 << 20 // of them
	heldMessages  = 4096     // publishes for a node that moves, for each
	heldBytes     = 64 << 20
	togetherBytes = 64 << 10 // of publishes that go to a node in one message
	tellMessages  = 1024     // of clients to others, not sent yet
	channelSize   = 8192     // messages that NATS has brought and nobody has looked at
)

// When others are given up.
const (
	heartbeatEvery = time.Second            // ± 20 %
	lateAfter      = 3 * heartbeatEvery / 2 // what it has said of its interest may be on its way, or lost
	suspectAfter   = 3 * time.Second
	deadAfter      = 6 * time.Second
	ackWithin      = time.Second     // a publish that was not acknowledged by then has no answer
	moveWithin     = 5 * time.Second // publishes are held for a node that moves; less than deadAfter
	joinWithin     = 1500 * time.Millisecond
)

var nameForm = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

func (c Config) withDefaults() Config {
	c.Node = cmp.Or(c.Node, defaultNode())
	c.Buckets = cmp.Or(c.Buckets, fewestBuckets)
	c.SubscribeWait = cmp.Or(c.SubscribeWait, 250*time.Millisecond)
	c.Forget = cmp.Or(c.Forget, 5*time.Minute)
	c.KeyWindow = cmp.Or(c.KeyWindow, 10*time.Minute)
	c.Keys = cmp.Or(c.Keys, 10_000)
	c.MaxPublish = cmp.Or(c.MaxPublish, 1<<20)
	c.Logger = cmp.Or(c.Logger, slog.Default())
	return c
}

// Check returns a server.ConfigError if New would refuse the configuration.
func (c Config) Check() error {
	c = c.withDefaults()
	switch {
	case !nameForm.MatchString(c.Cluster):
		return &server.ConfigError{Field: "Cluster", Value: c.Cluster, Want: "want 1 to 64 letters, digits, - and _"}
	case !nameForm.MatchString(c.Node):
		return &server.ConfigError{Field: "Node", Value: c.Node, Want: "want 1 to 64 letters, digits, - and _"}
	case c.Expect < 0:
		return &server.ConfigError{Field: "Expect", Value: c.Expect, Want: "want the number of nodes"}
	case c.Buckets < fewestBuckets || c.Buckets > mostBuckets || c.Buckets&(c.Buckets-1) != 0:
		return &server.ConfigError{Field: "Buckets", Value: c.Buckets, Want: "want a power of two, 65536 to 1048576"}
	case c.SubscribeWait < time.Millisecond || c.SubscribeWait > 10*time.Second:
		return &server.ConfigError{Field: "SubscribeWait", Value: c.SubscribeWait, Want: "want 1ms to 10s"}
	case c.Forget < deadAfter:
		return &server.ConfigError{Field: "Forget", Value: c.Forget, Want: "want 6s at least"}
	}
	return nil
}

// defaultNode is the host's name and four random digits: several processes of one
// host differ, and so do two lives of one process.
func defaultNode() string {
	host, err := os.Hostname()
	if err != nil || host == "" {
		host = "node"
	}
	host = strings.Map(func(r rune) rune {
		if nameForm.MatchString(string(r)) {
			return r
		}
		return '-'
	}, host)
	var b [2]byte
	_, _ = rand.Read(b[:]) // it never fails
	return host[:min(len(host), 59)] + "-" + hex.EncodeToString(b[:])
}
