package cluster

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
)

// Publishers that talk NATS send to
//
//	wsd.<cluster>.publish        who it is for is in headers; a request gets the JSON of POST /v1/publish back
//	wsd.<cluster>.topic.<topic>  to a topic; as it is, but %XX for what a subject cannot have
//
// One node of the queue group takes each message. Order is kept for who waits for the
// answer before the next message: otherwise two of them may go to different nodes.

// Publish begins a publisher's message, and returns how to wait for the answer, which
// is a status of HTTP and JSON. It is called for one message after the other. wait says
// whether somebody will.
type Publish func(ctx context.Context, header map[string][]string, data []byte, wait bool) (answer func(context.Context) (status int, body []byte))

// door is where they come in.
type door struct {
	mu    sync.Mutex
	subs  []*nats.Subscription
	queue chan *nats.Msg
	under atomic.Int64 // messages that are not answered
}

// doorMessages is how many of them may wait to begin, or for their answer.
const doorMessages = 1024

func (d *door) init() { d.queue = make(chan *nats.Msg, doorMessages) }

// open lets publishers in.
func (n *Node) openDoor() error {
	conn := n.link.conn.Load()
	if n.cfg.Publish == nil || conn == nil {
		return nil
	}
	n.door.mu.Lock()
	defer n.door.mu.Unlock()
	for _, subject := range []string{n.prefix + "publish", n.prefix + "topic.>"} {
		sub, err := conn.ChanQueueSubscribe(subject, "wsd", n.link.in)
		if err != nil {
			return err
		}
		n.door.subs = append(n.door.subs, sub)
	}
	return nil
}

// closeDoor sends them to other nodes, and waits until those that are in have their
// answers, or ctx ends.
func (n *Node) closeDoor(ctx context.Context) {
	n.door.mu.Lock()
	for _, sub := range n.door.subs {
		_ = sub.Unsubscribe() // it is gone with the connection
	}
	n.door.subs = nil
	n.door.mu.Unlock()
	if conn := n.link.conn.Load(); conn != nil {
		_ = conn.FlushTimeout(250 * time.Millisecond) // what comes after that goes to others
	}
	for (n.door.under.Load() > 0 || len(n.link.in) > 0) && ctx.Err() == nil {
		wait(ctx, time.Millisecond)
	}
}

// knocked is for a message of a publisher.
func (n *Node) knocked(m *nats.Msg) {
	n.door.under.Add(1)
	select {
	case n.door.queue <- m:
	default:
		n.door.under.Add(-1)
		n.count.dropped.Add(1)
		n.respond(m, 503, []byte(`{"title":"Service Unavailable","status":503,"detail":"too many publishes are under way: this one has not begun"}`))
	}
}

// admit begins one message after the other.
func (n *Node) admit() {
	for {
		select {
		case m := <-n.door.queue:
			n.admitOne(m)
		case <-n.alive().Done():
			return
		}
	}
}

func (n *Node) admitOne(m *nats.Msg) {
	header := map[string][]string(m.Header)
	if topic, ok := strings.CutPrefix(m.Subject, n.prefix+"topic."); ok {
		name, err := unescape(topic)
		if err != nil {
			n.respond(m, 400, fmt.Appendf(nil, `{"title":"Bad Request","status":400,"detail":%q}`, err))
			n.door.under.Add(-1)
			return
		}
		header = map[string][]string{"Wsd-Topic": {name}}
		for k, v := range m.Header {
			if k != "Wsd-Topic" {
				header[k] = v
			}
		}
	}
	answer := n.cfg.Publish(n.alive(), header, m.Data, m.Reply != "")
	if m.Reply == "" {
		if status, _ := answer(n.alive()); status >= 400 { // it is there: nobody waits for more
			n.count.refused.Add(1)
		}
		n.door.under.Add(-1)
		return
	}
	go func() {
		defer n.door.under.Add(-1)
		status, body := answer(n.alive())
		n.respond(m, status, body)
	}()
}

func (n *Node) respond(m *nats.Msg, status int, body []byte) {
	conn := n.link.conn.Load()
	if m.Reply == "" || conn == nil {
		return
	}
	r := nats.NewMsg(m.Reply)
	r.Data = body
	r.Header.Set("Wsd-Status", strconv.Itoa(status))
	_ = conn.PublishMsg(r) // the publisher sees that there is no answer
}

var errEscape = errors.New("%XX in the subject has to be two hexadecimal digits")

// unescape turns a part of a subject into a topic.
func unescape(s string) (string, error) {
	if !strings.Contains(s, "%") {
		return s, nil
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '%' {
			b.WriteByte(s[i])
			continue
		}
		if i+2 >= len(s) {
			return "", errEscape
		}
		v, err := strconv.ParseUint(s[i+1:i+3], 16, 8)
		if err != nil {
			return "", errEscape
		}
		b.WriteByte(byte(v))
		i += 2
	}
	return b.String(), nil
}
