package cluster

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"wsd/lab"
	"wsd/lab/checker"
)

// client is a WebSocket client that does what is asked of one, sends heartbeats, and
// gives what it gets to a log.
type client struct {
	conn net.Conn
	over chan struct{} // closed when the connection has ended

	// Guarded by mu, as is writing.
	mu      sync.Mutex
	log     *checker.Client // nil: nobody keeps what comes
	sent    int             // requests, numbered from 1
	answers int             // of them
	got     []string        // what the log did not take
	err     error           // why it ended
}

// connect makes a client on a host.
func connect(t *testing.T, from *lab.Host, address string) *client {
	t.Helper()
	var c *client
	until(t, "a client gets in", func() bool {
		conn, err := from.Dial("tcp", address)
		if err != nil {
			return false
		}
		_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
		d := ws.Dialer{NetDial: func(context.Context, string, string) (net.Conn, error) { return conn, nil }}
		_, br, _, err := d.Dial(context.Background(), "ws://"+address+"/ws")
		if err != nil {
			conn.Close()
			return false
		}
		_ = conn.SetDeadline(time.Time{})
		if br == nil {
			br = bufio.NewReader(conn)
		}
		c = &client{conn: conn, over: make(chan struct{})}
		go c.read(br)
		return true
	})
	t.Cleanup(func() {
		c.forget()
		c.conn.Close()
		<-c.over
	})
	return c
}

// keep has what comes go to a log. It makes it with mu held: what is published from when the
// log begins is in it.
func (c *client) keep(log func() *checker.Client) *checker.Client {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.log = log()
	return c.log
}

// forget has what comes go to nobody's log.
func (c *client) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.log = nil
}

func (c *client) read(r io.Reader) {
	defer close(c.over)
	defer c.conn.Close()
	for {
		h, err := ws.ReadHeader(r)
		var payload []byte
		if err == nil {
			payload = make([]byte, h.Length)
			_, err = io.ReadFull(r, payload)
		}
		c.mu.Lock()
		if err == nil {
			err = c.take(h.OpCode, payload)
		}
		c.err = err
		if err != nil && c.log != nil {
			c.log.Ended(err)
		}
		c.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// take is called with mu held.
func (c *client) take(op ws.OpCode, payload []byte) error {
	switch op {
	case ws.OpPing:
		return c.write(ws.NewPongFrame(payload))
	case ws.OpClose:
		code, reason := ws.ParseCloseFrameData(payload)
		return fmt.Errorf("closed: %d %s", code, reason)
	case ws.OpText:
	default:
		return fmt.Errorf("a frame of type %v", op)
	}
	text := string(payload)
	if !strings.HasPrefix(text, "{") {
		if c.log == nil || !c.log.Got(text) {
			c.got = append(c.got, text)
		}
		return nil
	}
	var answer struct{ Code, Seq int }
	if err := json.Unmarshal(payload, &answer); err != nil || answer.Code != 0 || answer.Seq != c.answers+1 {
		return fmt.Errorf("the answer to request %d: %v: %s", c.answers+1, err, payload)
	}
	c.answers++
	return nil
}

// write is called with mu held. It does not wait: all is small that clients send.
func (c *client) write(f ws.Frame) error { return ws.WriteFrame(c.conn, ws.MaskFrameInPlace(f)) }

// request sends one, and returns its number.
func (c *client) request(action, data string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sent++
	_ = c.write(ws.NewTextFrame(fmt.Appendf(nil, `{"actioncode":%q,"seq":%d,"data":{%s}}`, action, c.sent, data))) // its end is seen by who reads
	return c.sent
}

// answered says whether so many requests are, or the connection is over.
func (c *client) answered(n int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.answers >= n || c.err != nil
}

// subscribe returns when it is answered.
func (c *client) subscribe(t *testing.T, topic string) {
	t.Helper()
	n := c.request("subscribe", fmt.Sprintf(`"topics":[%q]`, topic))
	until(t, "a subscribe is answered", func() bool { return c.answered(n) })
}

// others is what came that is not the log's.
func (c *client) others() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]string{}, c.got...)
}

// beat has a client send heartbeats until its connection ends.
func (c *client) beat(every time.Duration) {
	for tick := time.NewTicker(every); ; {
		select {
		case <-tick.C:
			c.request("heart_beat", "")
		case <-c.over:
			tick.Stop()
			return
		}
	}
}

// served checks that clients are answered, whatever else goes on.
func served(t *testing.T, all ...*client) {
	t.Helper()
	last := make([]int, len(all))
	for i, c := range all {
		last[i] = c.request("heart_beat", "")
	}
	for i, c := range all {
		until(t, "a heartbeat is answered", func() bool { return c.answered(last[i]) })
		c.mu.Lock()
		if c.err != nil {
			t.Errorf("a client was cut off: %v", c.err)
		}
		c.mu.Unlock()
	}
}
