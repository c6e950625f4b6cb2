package hosts

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"wsd/lab"
)

// client is a WebSocket client that answers pings, and keeps what it was sent.
type client struct {
	conn net.Conn
	over chan struct{} // closed when the connection has ended

	// Guarded by mu, as is writing.
	mu       sync.Mutex
	sent     int      // requests, numbered from 1
	answers  []int    // their numbers
	messages []string // published ones
	code     ws.StatusCode
	err      error // why it ended
}

// connect makes a client on a host. An error can be a [ws.StatusError].
func connect(from, to *lab.Host) (*client, error) {
	conn, err := from.Dial("tcp", to.Addr(port))
	if err != nil {
		return nil, err
	}
	_ = conn.SetDeadline(time.Now().Add(time.Minute))
	d := ws.Dialer{NetDial: func(context.Context, string, string) (net.Conn, error) { return conn, nil }}
	_, br, _, err := d.Dial(context.Background(), "ws://"+to.Addr(port)+"/ws")
	if err != nil {
		conn.Close()
		return nil, err
	}
	_ = conn.SetDeadline(time.Time{})
	if br == nil {
		br = bufio.NewReader(conn)
	}
	c := &client{conn: conn, over: make(chan struct{})}
	go c.read(br)
	return c, nil
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
		c.code, _ = ws.ParseCloseFrameData(payload)
		_ = c.write(ws.NewCloseFrame(payload))
		return io.EOF
	case ws.OpText:
	default:
		return fmt.Errorf("a frame of type %v", op)
	}
	if !strings.HasPrefix(string(payload), "{") {
		c.messages = append(c.messages, string(payload))
		return nil
	}
	var answer struct{ Code, Seq int }
	if err := json.Unmarshal(payload, &answer); err != nil || answer.Code != 0 {
		return fmt.Errorf("an answer: %v: %s", err, payload)
	}
	c.answers = append(c.answers, answer.Seq)
	return nil
}

// write is called with mu held. It does not wait: all is small that clients
// send, and fits into the kernel's buffer.
func (c *client) write(f ws.Frame) error {
	return ws.WriteFrame(c.conn, ws.MaskFrameInPlace(f))
}

// beat sends a heartbeat.
func (c *client) beat() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.write(ws.NewTextFrame(fmt.Appendf(nil, `{"actioncode":"heart_beat","seq":%d}`, c.sent+1))) == nil {
		c.sent++
	}
}

// ended tells whether the connection has ended.
func (c *client) ended() bool {
	select {
	case <-c.over:
		return true
	default:
		return false
	}
}

// drop ends the connection with a reset, if it is still there.
func (c *client) drop() {
	_ = c.conn.(*net.TCPConn).SetLinger(0)
	c.conn.Close()
}

// crowd are clients on one host.
type crowd []*client

// gather connects n clients, whatever is lost on the way.
func gather(t *testing.T, from, to *lab.Host, n int) crowd {
	t.Helper()
	all := make(crowd, n)
	var wg sync.WaitGroup
	for i := range all {
		wg.Go(func() {
			for end := time.Now().Add(lab.Slack); all[i] == nil && time.Now().Before(end); {
				var err error
				if all[i], err = connect(from, to); err != nil {
					time.Sleep(wait(err))
				}
			}
		})
	}
	wg.Wait()
	t.Cleanup(func() {
		for _, c := range all {
			if c != nil {
				c.drop()
				<-c.over
			}
		}
	})
	for _, c := range all {
		if c == nil {
			t.Fatalf("not all clients got in from %s within %v", from.Name(), lab.Slack)
		}
	}
	return all
}

// wait is how long to stay away after an error: as long as a 503 says at least,
// which is --retry-after=1s here.
func wait(err error) time.Duration {
	if status := ws.StatusError(0); errors.As(err, &status) {
		return 1500 * time.Millisecond
	}
	return 100 * time.Millisecond
}

// beat lets each client send a heartbeat now and then, until stop is called.
func (all crowd) beat(every time.Duration) (stop func()) {
	done := make(chan struct{})
	var wg sync.WaitGroup
	for i, c := range all {
		wg.Go(func() {
			time.Sleep(every * time.Duration(i) / time.Duration(len(all)))
			for tick := time.NewTicker(every); ; {
				c.beat()
				select {
				case <-tick.C:
				case <-done:
					return
				}
			}
		})
	}
	return sync.OnceFunc(func() { close(done); wg.Wait() })
}

// check waits until every heartbeat is answered and the last of so many messages
// has come, and then looks whether each came once and in order.
func (all crowd) check(t *testing.T, messages []string, patience time.Duration) {
	t.Helper()
	lab.Within(t, patience, "all answers and messages", func() bool {
		for _, c := range all {
			c.mu.Lock()
			there := len(c.answers) >= c.sent && len(c.messages) >= len(messages) || c.err != nil
			c.mu.Unlock()
			if !there {
				return false
			}
		}
		return true
	})
	for i, c := range all {
		c.mu.Lock()
		if c.err != nil {
			t.Errorf("client %d was closed: code %d, %v", i, c.code, c.err)
		}
		for k, seq := range c.answers {
			if seq != k+1 || len(c.answers) != c.sent {
				t.Errorf("client %d: %d requests, the answers %v", i, c.sent, c.answers)
				break
			}
		}
		if !equal(c.messages, messages) {
			t.Errorf("client %d: %d messages, not the %d that were published, in order", i, len(c.messages), len(messages))
		}
		c.mu.Unlock()
	}
}

func equal(a, b []string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

// sent is how many heartbeats went out.
func (all crowd) sent() (n int) {
	for _, c := range all {
		c.mu.Lock()
		n += c.sent
		c.mu.Unlock()
	}
	return n
}

// numbered are n messages of that size in bytes at least.
func numbered(n, size int) (messages []string) {
	for i := range n {
		text := fmt.Sprintf("message %d ", i)
		messages = append(messages, text+strings.Repeat("x", max(0, size-len(text))))
	}
	return messages
}
