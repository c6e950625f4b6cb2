package admin

import (
	"context"
	"encoding/json"

	"github.com/google/uuid"

	"wsd/server"
)

// Backend is what the handlers ask of the server. Any number of goroutines
// call it at once.
type Backend interface {
	// Ready is nil, or says why clients should not be sent here now.
	Ready() error
	// Stats are the totals since the start.
	Stats() server.Stats
	// Limits are what the process can hold.
	Limits() server.Limits
	// Addrs are the addresses that clients connect to.
	Addrs() []string

	// Begin sets a message on its way, and returns how to wait for what becomes
	// of it. It waits itself, but for ctx, while too many are on their way.
	// Messages arrive in the order in which they were begun; after an error
	// nobody gets the message.
	Begin(ctx context.Context, to server.Target, m server.Message) (server.Outcome, error)

	// Client looks one up; false if there is none, or ctx ended.
	Client(ctx context.Context, id uuid.UUID) (server.ClientInfo, bool)
	// Clients lists up to limit of them from cursor on ("" is the beginning);
	// next is "" at the end.
	Clients(ctx context.Context, cursor string, limit int) (list []server.ClientInfo, next string, err error)
	// CloseClient reports whether there was one.
	CloseClient(ctx context.Context, id uuid.UUID, code int, reason string) bool
	// CloseTopic closes the subscribers and counts them.
	CloseTopic(ctx context.Context, topic string, code int, reason string) (int, error)
	// Subscribers counts a topic's.
	Subscribers(ctx context.Context, topic string) (int, error)

	// UserClients lists up to limit clients of a user; CloseUser closes all of them and
	// counts them.
	UserClients(ctx context.Context, user string, limit int) ([]server.ClientInfo, error)
	CloseUser(ctx context.Context, user string, code int, reason string) (int, error)

	// Revoke has tokens count no more, closes who came by them, and counts those.
	Revoke(ctx context.Context, r server.Revocation) (int, error)
	// Revocations are those in force; Unrevoke reports whether there was one.
	Revocations() []server.Revocation
	Unrevoke(user, token string) bool
}

// Cluster is what the handlers ask of the other nodes. Any number of goroutines call it
// at once.
type Cluster interface {
	// Self is this node's name.
	Self() string
	// Nodes are all that are known, by name, this one among them. It asks each, until
	// ctx ends.
	Nodes(ctx context.Context) ([]server.NodeInfo, server.Reach)
	// BeginOnce is Backend.Begin for a publish with an idempotency key, which each node
	// does once. The error may be server.ErrKeyUsed, too.
	BeginOnce(ctx context.Context, key string, print [32]byte, to server.Target, m server.Message) (server.Outcome, error)
	// Connected says whether other nodes can be reached at all.
	Connected() bool

	// Client is Backend.Client at whatever node it is, which is returned.
	Client(ctx context.Context, id uuid.UUID) (info server.ClientInfo, node string, found bool, reach server.Reach)
	// Clients lists those of all nodes, or of one (only).
	Clients(ctx context.Context, cursor string, limit int, only string) (list []server.ClientInfo, next string, reach server.Reach, err error)
	// CloseClient reports whether there was one.
	CloseClient(ctx context.Context, id uuid.UUID, code int, reason string) (found bool, reach server.Reach)
	// CloseTopic closes the subscribers at all nodes and counts them.
	CloseTopic(ctx context.Context, topic string, code int, reason string) (closed int, reach server.Reach, err error)
	// UserClients lists up to limit clients of a user at all nodes; CloseUser closes all
	// of them and counts them.
	UserClients(ctx context.Context, user string, limit int) (list []server.ClientInfo, reach server.Reach, err error)
	CloseUser(ctx context.Context, user string, code int, reason string) (closed int, reach server.Reach, err error)
	// Revoke and Unrevoke are Backend's at all nodes, which have the same revocations.
	Revoke(ctx context.Context, r server.Revocation) (closed int, reach server.Reach, err error)
	Unrevoke(ctx context.Context, user, token string) (found bool, reach server.Reach)
	// Topic counts a topic's subscribers, by node.
	Topic(ctx context.Context, topic string) (clients int, byNode map[string]int, reach server.Reach, err error)
	// Stats are the totals of each node, as JSON, by name.
	Stats(ctx context.Context) (byNode map[string]json.RawMessage, reach server.Reach)
	// Totals are what the node counts.
	Totals() server.ClusterStats
}
