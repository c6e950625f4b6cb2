package cluster

import (
	"fmt"

	"github.com/nats-io/nats.go"

	"wsd/server"
)

// overhead is what a message has beside its data, at most: a thousand topics, or so.
const overhead = 256 << 10

// PayloadError is returned by Start when an external NATS server carries only messages
// that are too small for a node.
type PayloadError struct {
	URL   string
	Most  int64 // bytes that the server takes
	Least int64 // bytes that it has to take at least
}

func (e *PayloadError) Error() string {
	return fmt.Sprintf("%s: its max_payload is %d bytes, and has to be more than %d: set max_payload: 8MB in its configuration", e.URL, e.Most, e.Least)
}

// checkPayload refuses a server at the start that would carry no publish.
func (n *Node) checkPayload(conn *nats.Conn) error {
	if most := conn.MaxPayload(); most <= overhead {
		return &PayloadError{URL: n.cfg.URL, Most: most, Least: overhead}
	}
	return nil
}

// notePayload notes how large messages may be with the server that conn is connected
// to. It may be another one after a reconnect: whatever it takes, clients are served
// on, and what is too large is refused.
func (n *Node) notePayload(conn *nats.Conn) {
	most := conn.MaxPayload()
	if n.link.most.Store(most); most <= overhead {
		n.log.Error("NATS takes only small messages: larger publishes are refused", "error", &PayloadError{URL: conn.ConnectedUrlRedacted(), Most: most, Least: overhead})
	}
}

// room is how many bytes of data a publish may have; 0: nobody knows yet.
func (n *Node) room() int64 {
	most := n.link.most.Load()
	return max(most-overhead, most/2)
}

// fits refuses a message that NATS would not carry.
func (n *Node) fits(m *server.Message) error {
	if room := n.room(); int64(len(m.Data)) > room && room > 0 {
		return fmt.Errorf("%w: NATS takes messages of %d bytes here (max_payload), which leaves %d", server.ErrTooLarge, n.link.most.Load(), room)
	}
	return nil
}
