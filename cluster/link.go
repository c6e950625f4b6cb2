package cluster

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
)

// link is the connection to NATS. One channel gets all that comes, whatever its
// subject: with a callback for each subscription, as is usual, two subjects of one
// sender could overtake each other.
type link struct {
	conn  atomic.Pointer[nats.Conn]
	up    atomic.Bool
	embed Embedded // nil: an external server
	stop  func()   // ends it, once
	in    chan *nats.Msg
	most  atomic.Int64              // bytes that one message may have
	taken atomic.Pointer[heartbeat] // of a node that had our name when we came
}

// connect makes the connection, whose later ends are repaired by itself.
func (n *Node) connect() error {
	l := &n.link
	l.in = make(chan *nats.Msg, channelSize)
	url, options := n.cfg.URL, n.options()
	if n.cfg.Embed != nil {
		embedded, err := n.cfg.Embed(n.knownRoutes())
		if err != nil {
			return err
		}
		l.embed, l.stop = embedded, sync.OnceFunc(embedded.Stop)
		user, password := embedded.Login()
		url = nats.DefaultURL // not dialled
		options = append(options, nats.InProcessServer(embedded), nats.UserInfo(user, password))
	}
	if l.embed == nil {
		// A server that hangs is found out, and holds no publisher up. The one inside
		// hangs with this process or not at all, and is not asked all the time.
		options = append(options, nats.FlusherTimeout(time.Second), nats.PingInterval(2*time.Second), nats.MaxPingsOutstanding(2))
	}
	conn, err := nats.Connect(url, append(options, n.cfg.Options...)...)
	if err == nil {
		if err = n.subscribe(conn); err == nil {
			err = n.checkPayload(conn)
		}
	}
	if err != nil {
		if conn != nil {
			conn.Close()
		}
		l.stopEmbedded()
		if small, ok := errors.AsType[*PayloadError](err); ok {
			return small
		}
		return &ConnectError{URL: n.cfg.URL, Err: err}
	}
	n.notePayload(conn)
	l.conn.Store(conn)
	l.up.Store(true)
	return nil
}

// knownRoutes are where the servers inside other nodes that are known take this one's.
func (n *Node) knownRoutes() (list []string) {
	for _, p := range n.members.all() {
		if h := p.told.Load(); h.Routes != "" {
			list = append(list, h.Routes)
		}
	}
	return list
}

// options are those that everybody needs. A message that waits for a reconnect would
// come late and unreported, so none does (ReconnectBufSize).
func (n *Node) options() []nats.Option {
	return []nats.Option{
		nats.Name("wsd " + n.cfg.Cluster + " " + n.name),
		nats.NoEcho(),
		nats.MaxReconnects(-1), nats.ReconnectWait(250 * time.Millisecond), nats.ReconnectJitter(100*time.Millisecond, 250*time.Millisecond),
		nats.ReconnectBufSize(-1),
		nats.Timeout(2 * time.Second),
		nats.CustomInboxPrefix(n.prefix + "r"),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) { n.parted(err) }),
		nats.ReconnectHandler(n.rejoined),
		nats.ErrorHandler(n.failed),
	}
}

func (n *Node) subscribe(conn *nats.Conn) error {
	for _, subject := range []string{n.subject, n.all} {
		sub, err := conn.ChanSubscribe(subject, n.link.in)
		if err != nil {
			return err
		}
		if err := sub.SetPendingLimits(-1, -1); err != nil && !errors.Is(err, nats.ErrTypeSubscription) {
			return err // the channel is the limit
		}
	}
	if err := conn.FlushTimeout(2 * time.Second); err != nil {
		return err
	}
	return conn.LastError() // what it may not subscribe to is told like this
}

// ConnectError says why there is no connection to NATS.
type ConnectError struct {
	URL string // "": the server inside
	Err error
}

func (e *ConnectError) Error() string {
	why := e.Err.Error()
	switch {
	case errors.Is(e.Err, nats.ErrAuthorization), errors.Is(e.Err, nats.ErrAuthExpired), errors.Is(e.Err, nats.ErrNoServers) && strings.Contains(why, "uthorization"):
		why += ": it wants other credentials"
	case errors.Is(e.Err, nats.ErrPermissionViolation), strings.Contains(strings.ToLower(why), "permissions violation"):
		why += ": a node has to publish and subscribe to wsd.> of its cluster"
	case errors.Is(e.Err, nats.ErrNoServers):
		why = "no NATS server answers there"
	}
	if e.URL == "" {
		return "the NATS server inside: " + why
	}
	return fmt.Sprintf("%s: %s", e.URL, why)
}

// RefusedError is returned by Start when another node's NATS server and the one inside
// do not trust each other, and nobody else is there.
type RefusedError struct{ Err error }

func (e *RefusedError) Error() string {
	return fmt.Sprintf("another node and this one do not trust each other: %v", e.Err)
}

// Unwrap returns the cause.
func (e *RefusedError) Unwrap() error { return e.Err }

// Unwrap returns the cause.
func (e *ConnectError) Unwrap() error { return e.Err }

// parted notes that NATS is away: everybody else is, for the time being.
func (n *Node) parted(err error) {
	n.link.up.Store(false)
	if n.alive().Err() != nil || n.state.Load() == stateMoving {
		return
	}
	n.count.disconnects.Add(1)
	n.log.Warn("the connection to NATS is lost: local clients are served, the others are not reached", "error", err)
	n.requests.giveUpAll(whyPartitioned)
}

// rejoined notes that NATS is back. What was said meanwhile went past us: everybody's
// interest has to be asked for.
func (n *Node) rejoined(conn *nats.Conn) {
	n.notePayload(conn)
	n.link.up.Store(true)
	n.log.Info("connected to NATS again")
	n.doubtAll()
	n.beat(true)
}

// failed gets what goes wrong beside the connection's end.
func (n *Node) failed(_ *nats.Conn, _ *nats.Subscription, err error) {
	if errors.Is(err, nats.ErrSlowConsumer) {
		n.count.dropped.Add(1)
		n.doubtAll() // it may have been a delta
	}
	n.log.Warn("NATS", "error", err)
}

// close ends the connection when what was sent is on its way.
func (l *link) close() {
	l.up.Store(false)
	if conn := l.conn.Swap(nil); conn != nil {
		_ = conn.FlushTimeout(250 * time.Millisecond) // whoever is away does not hear of it
		conn.Close()
	}
	l.stopEmbedded()
}

func (l *link) stopEmbedded() {
	if l.stop != nil {
		l.stop()
	}
}

// read takes what NATS brings and has each message looked at at once, but for
// publishes, which wait their turn in the inbox. So what is said about the cluster
// itself waits for no fan-out.
func (n *Node) read() {
	for {
		select {
		case m := <-n.link.in:
			n.take(m)
		case <-n.alive().Done():
			return
		}
	}
}

// take looks at one message.
func (n *Node) take(m *nats.Msg) {
	if m.Subject != n.subject && m.Subject != n.all {
		n.knocked(m)
		return
	}
	if len(m.Data) == 0 && m.Header.Get("Status") == "503" {
		return // NATS says that nobody is there who could have heard us
	}
	if len(m.Data) < 2 || m.Data[0] != version {
		n.count.unknown.Add(1)
		return
	}
	body := m.Data[2:]
	switch m.Data[1] {
	case kindHeartbeat:
		n.heard(m.Reply, body)
	case kindPublish:
		n.arrived(m.Reply, m.Data, time.Now())
	case kindTogether:
		n.arrivedTogether(m.Reply, body)
	case kindResult:
		n.answered(body)
	case kindDelta:
		n.changed(m)
	case kindSeen:
		n.acknowledged(body)
	case kindSnapshot:
		n.whole(m)
	case kindWant:
		n.want(m)
	case kindAsk:
		n.asked(m)
	case kindTold:
		n.told(body)
	default:
		n.count.unknown.Add(1)
	}
}

// wait sleeps, unless ctx ends.
func wait(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
