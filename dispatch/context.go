package dispatch

import (
	"context"
	"net/netip"
	"time"

	"github.com/google/uuid"
)

// Client is what an action may know of the client that it serves, and ask for it. Its methods may be
// called while the action runs, on the goroutine that runs it.
type Client interface {
	// ID is the random (version 4) UUID that the client got when it connected.
	ID() uuid.UUID
	ConnectedAt() time.Time
	RemoteAddr() netip.AddrPort
	// Topics returns the topics that the client is subscribed to, sorted. The slice is the caller's.
	Topics() []string
	// Subscribe adds topics to the client's. It fails with an *Error: InvalidParams for a name that is
	// none, PermissionDenied for a topic that is not allowed or one too many.
	Subscribe(topics ...string) error
	// Unsubscribe takes topics from the client's. Topics that it was not subscribed to do not matter.
	Unsubscribe(topics ...string) error
	// Identity is what the server knows of the client since its handshake, nil if nothing.
	Identity() any
	// SetIdentity has the server know the client by another identity from now on, as the action auth does.
	// It fails with an *Error: PermissionDenied if that is another user's, or not allowed.
	SetIdentity(identity any) error
}

// Context is what an action gets beside its argument. An inline action may use it until it returns, no
// longer, because the loop uses it again for the next message; so too for all that it refers to.
type Context struct {
	context.Context // ends when the action's time is up, or the server stops

	Client   Client
	Envelope *Envelope

	// Identity is set in actions that need a token: what Mux.Authenticate returned for the request's, or,
	// of a request without one, Client.Identity.
	Identity any

	pending Pending // of a Later action: takes the answer

	// The token has been looked at, and this is what is wrong with it.
	checked bool
	refusal error
}

// Checked has Mux.Identify return err for this request from now on, without another look at its token. It
// is for a server that has called Identify before, on another goroutine.
func (c *Context) Checked(err error) { c.checked, c.refusal = true, err }
