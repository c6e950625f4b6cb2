package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"wsd/server"
)

// A pause of the whole process, as of a virtual machine that is moved, or a laptop's
// lid: every time-out is over when it goes on, and none of those who did in time
// what they had to may be closed for it.

const (
	pauseLimit  = 2 * time.Second // every time-out
	pauseLength = 2*pauseLimit + time.Second
	pauseRounds = 2
)

// sleeper is a healthy client of such a process.
type sleeper struct {
	net.Conn
	t       *testing.T
	mu      sync.Mutex // of writing
	pings   atomic.Int64
	answers atomic.Int64
	ended   atomic.Pointer[string]
}

// listen reads all that comes, and answers pings, until the connection ends.
func (c *sleeper) listen() {
	for {
		h, err := ws.ReadHeader(c)
		var payload []byte
		if err == nil {
			payload = make([]byte, min(h.Length, 2<<20)) // no message is longer
			_, err = io.ReadFull(c, payload)
		}
		switch {
		case err != nil:
			text := err.Error()
			c.ended.CompareAndSwap(nil, &text)
			return
		case h.OpCode == ws.OpPing:
			c.pings.Add(1)
			c.frame(ws.NewPongFrame(payload))
		case h.OpCode == ws.OpClose:
			text := fmt.Sprintf("close frame: %q", payload)
			c.ended.CompareAndSwap(nil, &text)
			return
		case string(payload) == heartBeat:
			c.answers.Add(1)
		}
	}
}

func (c *sleeper) frame(f ws.Frame) { c.bytes(ws.MustCompileFrame(ws.MaskFrame(f))) }

func (c *sleeper) bytes(b []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, _ = c.Write(b) // an end is noticed by listen
}

// TestPauses stops the process again and again for longer than all its time-outs.
func TestPauses(t *testing.T) {
	t.Parallel()
	limit := func(name string) string { return fmt.Sprintf("--%s=%v", name, pauseLimit) }
	r := serve(t, limit("idle-timeout"), limit("pong-timeout"), limit("message-timeout"), limit("handshake-timeout"),
		limit("first-message-timeout"), limit("close-timeout"), limit("pending-age"), limit("action-timeout"), "--pending-limit=64MiB")
	var all []*sleeper
	for i := range 40 {
		c := r.sleeper()
		all = append(all, c)
		if c.frame(beat); i%2 == 0 { // the others are silent but for their pongs
			go c.beats()
		}
	}
	for round := range pauseRounds {
		all = append(all, r.pause(time.Duration(round)*pauseLimit/4)...)
		for _, c := range all {
			n := c.answers.Load()
			c.frame(beat)
			until(t, "a client is served after a pause, or ended", func() bool { return c.answers.Load() > n || c.ended.Load() != nil })
		}
		time.Sleep(pauseLimit / 2)
	}
	pings := int64(0)
	for i, c := range all {
		pings += c.pings.Load()
		if why := c.ended.Load(); why != nil {
			t.Errorf("healthy client %d of %d: %s", i, len(all), *why)
		}
	}
	var st server.Stats
	(&lineage{running: r}).stats(&st)
	for why, n := range st.Closed {
		if n > 0 {
			t.Errorf("%d clients were closed as %s", n, why)
		}
	}
	t.Logf("%d clients, %d pauses, %d pings", len(all), pauseRounds, pings)
}

var beat = ws.NewTextFrame([]byte(`{"actioncode":"heart_beat"}`))

func (r *running) sleeper() *sleeper {
	r.t.Helper()
	c := &sleeper{Conn: r.dial("/ws"), t: r.t}
	go c.listen()
	return c
}

// beats sends heartbeats, whether they are answered or not, until the connection ends.
func (c *sleeper) beats() {
	for c.ended.Load() == nil {
		time.Sleep(100 * time.Millisecond)
		c.frame(beat)
	}
}

// pause stops the process, after a while. Clients do something in time that it sees
// late: the end of a handshake, the end of a message, their first message, room in
// a slow reader's socket. It returns those who stay.
func (r *running) pause(after time.Duration) []*sleeper {
	r.t.Helper()
	asking := half(r.t, r.listen)
	cut := r.sleeper()
	cut.frame(beat)
	whole := ws.MustCompileFrame(ws.MaskFrame(beat))
	cut.bytes(whole[:9])
	slow := r.slowReader()
	first := r.sleeper()
	time.Sleep(after)

	r.signal(syscall.SIGSTOP)
	began := time.Now()
	time.Sleep(pauseLimit / 4)
	asking.rest()
	cut.bytes(whole[9:])
	first.frame(beat)
	newcomer := half(r.t, r.listen)
	newcomer.rest()
	go slow.listen()
	time.Sleep(pauseLength - time.Since(began))
	r.signal(syscall.SIGCONT)

	return []*sleeper{cut, slow, first, asking.admitted(), newcomer.admitted()}
}

// slowReader is a client for whom bytes wait in the process.
func (r *running) slowReader() *sleeper {
	r.t.Helper()
	c := &sleeper{Conn: r.dial("/ws"), t: r.t}
	const subscribe = `{"actioncode":"subscribe","data":{"topics":["much"]}}`
	ask(r.t, c, subscribe)
	body := strings.Repeat("x", 1<<20)
	until(r.t, "its queue is not empty", func() bool {
		_, text := r.http("POST", "/v1/publish?topic=much", body)
		return strings.Contains(text, `"queued":1`)
	})
	return c
}

// halfShaken is a handshake whose end is still to be sent.
type halfShaken struct {
	net.Conn
	t *testing.T
}

const halfOfIt = "GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"

func half(t *testing.T, address string) *halfShaken {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(c, halfOfIt); err != nil {
		t.Fatal(err)
	}
	return &halfShaken{c, t}
}

func (c *halfShaken) rest() {
	c.t.Helper()
	if _, err := io.WriteString(c, "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"); err != nil {
		c.t.Fatal(err)
	}
}

// admitted reads the answer. What comes with it may be a ping already: by the clock
// of the moment in which the process was stopped.
func (c *halfShaken) admitted() *sleeper {
	c.t.Helper()
	in := bufio.NewReader(c)
	if r, err := http.ReadResponse(in, nil); err != nil || r.StatusCode != 101 {
		c.t.Fatalf("who asked in time got %v, %v", r, err)
	}
	s := &sleeper{Conn: &readThrough{c.Conn, in}, t: c.t}
	go s.listen()
	return s
}

// readThrough is a connection of which a reader has read more than was asked for.
type readThrough struct {
	net.Conn
	in io.Reader
}

func (c *readThrough) Read(b []byte) (int, error) { return c.in.Read(b) }
