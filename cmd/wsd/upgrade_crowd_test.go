package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
)

// crowd is many clients that send heartbeats, and one publisher whose messages
// are numbered. Each client holds what it gets against what it must get: every
// number once and in order, an answer for each heartbeat.
type crowd struct {
	t         *testing.T
	publish   string // URL
	fans      []*fan
	stop      chan struct{}
	done      sync.WaitGroup
	published atomic.Int64
	churned   atomic.Int64           // clients that came and went
	failed    atomic.Pointer[string] // what went wrong for the publisher first
}

// fan is one client.
type fan struct {
	c              net.Conn
	early          []byte       // what came right behind the response
	next           atomic.Int64 // number that has to come next
	beats, answers atomic.Int64
	beatAt         int64                  // of the heartbeat under way; owned by whoever may send the next
	longestBeat    atomic.Int64           // nanoseconds until an answer
	longestNews    atomic.Int64           // nanoseconds from a publish to here
	wrong          atomic.Pointer[string] // what went wrong first
}

// gather connects n clients and sets them and the publisher to work. every is
// the time between two heartbeats of one client; between messages of the
// publisher it is pace.
func gather(t *testing.T, r *running, n int, every, pace time.Duration) *crowd {
	t.Helper()
	c := &crowd{t: t, publish: "http://" + r.admin + "/v1/publish?all", stop: make(chan struct{})}
	c.fans = make([]*fan, n)
	var dialing sync.WaitGroup
	for part := range 8 {
		dialing.Add(1)
		go func() {
			defer dialing.Done()
			for i := part; i < n; i += 8 {
				c.fans[i] = c.join(r.listen)
				if early := c.fans[i].early; early != nil { // nothing is published yet
					t.Errorf("a client got at once %q", early)
				}
			}
		}()
	}
	dialing.Wait()
	if t.Failed() {
		t.FailNow()
	}
	for _, f := range c.fans {
		go f.read()
	}
	t.Cleanup(func() {
		c.end()
		for _, f := range c.fans {
			f.c.Close()
		}
	})
	c.done.Add(2)
	go c.beat(every)
	go c.publishAll(pace)
	return c
}

func (c *crowd) join(address string) *fan {
	f := &fan{}
	dialer := ws.Dialer{Timeout: patience, NetDial: func(context.Context, string, string) (net.Conn, error) {
		return net.Dial("tcp", address)
	}}
	conn, early, _, err := dialer.Dial(context.Background(), "ws://localhost/ws")
	if err != nil {
		c.t.Errorf("a client could not connect: %v", err)
		return f
	}
	if early != nil {
		f.early, _ = early.Peek(early.Buffered())
	}
	f.c = conn
	return f
}

// beat sends each client's heartbeat in its turn, unless its last one is still
// to be answered.
func (c *crowd) beat(every time.Duration) {
	defer c.done.Done()
	frame := ws.MustCompileFrame(ws.MaskFrame(ws.NewTextFrame([]byte(`{"actioncode":"heart_beat"}`))))
	const slices = 50
	tick := time.NewTicker(max(every/slices, time.Millisecond))
	defer tick.Stop()
	for i := 0; ; i = (i + 1) % slices {
		select {
		case <-tick.C:
		case <-c.stop:
			return
		}
		for k := i; k < len(c.fans); k += slices {
			if f := c.fans[k]; f.wrong.Load() == nil && f.beats.Load() == f.answers.Load() {
				f.beatAt = time.Now().UnixNano()
				f.beats.Add(1)
				if _, err := f.c.Write(frame); err != nil {
					f.fail("heartbeat: %v", err)
				}
			}
		}
	}
}

// publishAll publishes one message after the other.
func (c *crowd) publishAll(pace time.Duration) {
	defer c.done.Done()
	for {
		select {
		case <-time.After(pace):
		case <-c.stop:
			return
		}
		if err := c.publishOne(); err != nil {
			text := err.Error()
			c.failed.Store(&text)
			return
		}
	}
}

func (c *crowd) publishOne() error {
	n := c.published.Load()
	body := fmt.Sprintf("#%d %d", n, time.Now().UnixNano())
	answer, err := http.Post(c.publish, "text/plain", strings.NewReader(body))
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusOK {
		return fmt.Errorf("message %d: %s %s %w", n, answer.Status, text, err)
	}
	c.published.Add(1)
	var result struct{ Matched int }
	if err := json.Unmarshal(text, &result); err != nil || result.Matched < len(c.fans) {
		return fmt.Errorf("message %d did not reach all: %s %w", n, text, err)
	}
	return nil
}

// churn has clients come and go, one after the other: none may be refused.
func (c *crowd) churn(r *running) {
	c.done.Add(1)
	go func() {
		defer c.done.Done()
		for {
			select {
			case <-time.After(2 * time.Millisecond):
			case <-c.stop:
				return
			}
			if err := c.comeAndGo(r.listen); err != nil {
				text := "one who came: " + err.Error()
				c.failed.CompareAndSwap(nil, &text)
				return
			}
			c.churned.Add(1)
		}
	}()
}

// comeAndGo connects, asks, and leaves in the proper way.
func (c *crowd) comeAndGo(address string) error {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(patience))
	dialer := ws.Dialer{NetDial: func(context.Context, string, string) (net.Conn, error) { return conn, nil }}
	_, in, _, err := dialer.Dial(context.Background(), "ws://localhost/ws")
	if err != nil {
		return err
	}
	if in == nil { // else it holds what came right behind the response
		in = bufio.NewReader(conn)
	}
	if err := wsutil.WriteClientText(conn, []byte(`{"actioncode":"heart_beat"}`)); err != nil {
		return err
	}
	for answered := false; ; {
		op, payload, err := readFrame(in)
		switch {
		case err != nil:
			return err
		case op == ws.OpClose && answered:
			return nil
		case op == ws.OpText && string(payload) == heartBeat:
			answered = true
			if err := ws.WriteFrame(conn, ws.MaskFrame(ws.NewCloseFrame(ws.NewCloseFrameBody(1000, "")))); err != nil {
				return err
			}
		}
	}
}

func (f *fan) fail(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	f.wrong.CompareAndSwap(nil, &text)
}

func (f *fan) read() {
	in := bufio.NewReaderSize(f.c, 256)
	for {
		op, payload, err := readFrame(in)
		switch {
		case err != nil:
			f.fail("reading: %v", err)
			return
		case op == ws.OpPing:
		case op == ws.OpText && string(payload) == heartBeat:
			atLeast(&f.longestBeat, time.Now().UnixNano()-f.beatAt)
			if f.answers.Load() == f.beats.Load() {
				f.fail("an answer too many")
				return
			}
			f.answers.Add(1)
		case op == ws.OpText && f.isNext(string(payload)):
			f.next.Add(1)
		default:
			f.fail("got %v %q where message %d was due", op, payload, f.next.Load())
			return
		}
	}
}

func (f *fan) isNext(message string) bool {
	number, at, ok := strings.Cut(strings.TrimPrefix(message, "#"), " ")
	sent, err := strconv.ParseInt(at, 10, 64)
	if !ok || err != nil || number != fmt.Sprint(f.next.Load()) {
		return false
	}
	atLeast(&f.longestNews, time.Now().UnixNano()-sent)
	return true
}

func atLeast(v *atomic.Int64, n int64) {
	if n > v.Load() { // written by one goroutine
		v.Store(n)
	}
}

// readFrame reads one short frame of a server.
func readFrame(in *bufio.Reader) (ws.OpCode, []byte, error) {
	head := make([]byte, 2, 4)
	if _, err := io.ReadFull(in, head); err != nil {
		return 0, nil, err
	}
	size := int(head[1] & 0x7f)
	if head[0]&0xf0 != 0x80 || head[1]&0x80 != 0 || size == 127 {
		return 0, nil, fmt.Errorf("frame header %x", head)
	}
	if size == 126 {
		if _, err := io.ReadFull(in, head[2:4]); err != nil {
			return 0, nil, err
		}
		size = int(binary.BigEndian.Uint16(head[2:4]))
	}
	payload := make([]byte, size)
	_, err := io.ReadFull(in, payload)
	return ws.OpCode(head[0] & 0xf), payload, err
}

// end stops the sending.
func (c *crowd) end() {
	select {
	case <-c.stop:
	default:
		close(c.stop)
	}
	c.done.Wait()
}

// check ends the sending and expects that every client got everything.
func (c *crowd) check() {
	c.t.Helper()
	c.end()
	if text := c.failed.Load(); text != nil {
		c.t.Errorf("publisher: %s", *text)
	}
	if err := c.publishOne(); err != nil {
		c.t.Errorf("the last message: %v", err)
	}
	wrong := 0
	for i, f := range c.fans {
		until(c.t, "client has got all: "+f.String(), func() bool {
			return f.wrong.Load() != nil || f.next.Load() == c.published.Load() && f.answers.Load() == f.beats.Load()
		})
		if text := f.wrong.Load(); text != nil {
			if wrong++; wrong < 5 {
				c.t.Errorf("client %d: %s", i, *text)
			}
		}
	}
	if wrong > 0 {
		c.t.Errorf("%d of %d clients lost something", wrong, len(c.fans))
	}
}

func (f *fan) String() string {
	return fmt.Sprintf("%d messages, %d of %d heartbeats", f.next.Load(), f.answers.Load(), f.beats.Load())
}

// lost waits until every client's connection has ended.
func (c *crowd) lost() {
	c.t.Helper()
	for i, f := range c.fans {
		until(c.t, fmt.Sprintf("client %d has lost its connection", i), func() bool { return f.wrong.Load() != nil })
	}
}

// more waits until the publisher has published n messages more.
func (c *crowd) more(n int64) {
	c.t.Helper()
	seen := c.published.Load()
	end := time.Now().Add(patience + time.Duration(len(c.fans))*20*time.Millisecond) // the host may be busy
	for c.published.Load() < seen+n && c.failed.Load() == nil {
		if time.Now().After(end) {
			c.t.Fatal("the publisher waits in vain")
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// slowest tells the longest that any client waited since it was called last.
func (c *crowd) slowest() string {
	var beat, news int64
	for _, f := range c.fans {
		beat, news = max(beat, f.longestBeat.Swap(0)), max(news, f.longestNews.Swap(0))
	}
	return fmt.Sprintf("slowest heartbeat %v, message %v",
		time.Duration(beat).Round(time.Millisecond), time.Duration(news).Round(time.Millisecond))
}

// totals are figures over all clients.
func (c *crowd) totals() string {
	var beats, messages int64
	for _, f := range c.fans {
		beats += f.answers.Load()
		messages += f.next.Load()
	}
	return fmt.Sprintf("%d clients: %d heartbeats answered; %d messages published, %d received; %d other clients came and went",
		len(c.fans), beats, c.published.Load(), messages, c.churned.Load())
}
