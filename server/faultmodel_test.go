//go:build faults

package server

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"syscall"

	"github.com/gobwas/ws"

	"wsd/netpoll"
)

// actor is a client of a drama, and what it may see. Its socket is a bare
// descriptor that never blocks: all it does is done by the script's goroutine.
type actor struct {
	d    *drama
	n    int
	fd   int
	out  []byte // to be written
	said int    // bytes written and to be written, from the start
	in   []byte // read, and not taken apart yet

	requests []awaited // not answered yet, in order
	seq      int
	asked    bool // its handshake is written whole
	open     bool // has the answer to it
	leaving  bool // has said goodbye, or shut its side
	shut     bool // has shut its side
	closed   bool // has got a close frame
	ended    bool // has seen the end of the stream
	gone     bool // has no socket any more

	dismissed bool // somebody has closed a topic of its

	last  int // publish it got last
	got   map[int]bool
	may   [faultTopics + 1]int // publishes from here on may come, by topic; the last is for all; -1: none
	surly [faultTopics + 1]int // from here on they must

	// Under drama.mu.
	serverFd     int  // of the other end
	full         bool // takes no more than room
	room         int  // bytes
	slow         bool // had something wait
	broken       bool // a call for it failed for good
	keptOutSince int  // how many newcomers had been kept out when it came
}

// awaited is an answer to come.
type awaited struct {
	seq    int
	end    int // of the request in what is said
	answer string
	topic  int // subscribed to with it, -1: none
}

func (c *actor) String() string {
	if c == nil {
		return "anybody"
	}
	return fmt.Sprintf("client %d", c.n)
}

func newActor(d *drama, n int) *actor {
	c := &actor{d: d, n: n, last: -1, got: map[int]bool{}, serverFd: -1}
	for i := range c.may {
		c.may[i], c.surly[i] = -1, -1
	}
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		d.t.Fatal(err)
	}
	c.fd = fd
	local := &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}
	if err := syscall.Bind(fd, local); err != nil {
		d.t.Fatal(err)
	}
	sa, err := syscall.Getsockname(fd)
	if err != nil {
		d.t.Fatal(err)
	}
	d.mu.Lock()
	d.ports[uint16(sa.(*syscall.SockaddrInet4).Port)] = c
	c.keptOutSince = d.counts["accept4"]
	d.mu.Unlock()
	var port int
	if _, err := fmt.Sscanf(d.s.Addrs()[0], "127.0.0.1:%d", &port); err != nil {
		d.t.Fatal(err)
	}
	if err := syscall.Connect(fd, &syscall.SockaddrInet4{Port: port, Addr: local.Addr}); err != nil {
		d.t.Fatal(err)
	}
	if err := syscall.SetNonblock(fd, true); err != nil {
		d.t.Fatal(err)
	}
	_ = syscall.SetsockoptInt(fd, syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 1)
	c.say(request("/ws"))
	return c
}

// say has bytes written in their turn.
func (c *actor) say(s string) {
	if !c.shut {
		c.out = append(c.out, s...)
		c.said += len(s)
	}
}

// ask has a request written, of one of several kinds, and knows its answer.
func (c *actor) ask(kind int) {
	if c.leaving || c.gone {
		return
	}
	c.seq++
	want := awaited{topic: -1, seq: c.seq}
	size := 1 << (kind >> 3 & 15) % 4096
	switch kind % 8 {
	case 0, 1:
		c.say(text(fmt.Sprintf(`{"actioncode":"heart_beat","seq":%d}`, c.seq)))
		want.answer = answer(0, "success", "true", "heart_beat", fmt.Sprint(c.seq))
	case 2:
		c.say(text(beat))
		want.answer = beating
	case 3:
		data := `"` + strings.Repeat("e", size) + `"`
		c.say(text(fmt.Sprintf(`{"actioncode":"echo","seq":%d,"data":%s}`, c.seq, data)))
		want.answer = answer(0, "success", data, "echo", fmt.Sprint(c.seq))
	case 4:
		want.topic = kind >> 3 % faultTopics
		c.say(text(fmt.Sprintf(`{"actioncode":"subscribe","seq":%d,"data":{"topics":["%s"]}}`, c.seq, topicName(want.topic))))
		want.answer = fmt.Sprintf(`"actioncode":"subscribe","seq":%d}`, c.seq)
	case 5:
		data := fmt.Sprint(c.seq)
		c.say(frame(ws.OpPing, data))
		want.answer = "pong " + data
	case 6:
		whole := fmt.Sprintf(`{"actioncode":"echo","seq":%d,"data":%q}`, c.seq, strings.Repeat("f", size))
		at := size % len(whole)
		c.say(part(ws.OpText, false, whole[:at]) + part(ws.OpContinuation, true, whole[at:]))
		want.answer = answer(0, "success", fmt.Sprintf("%q", strings.Repeat("f", size)), "echo", fmt.Sprint(c.seq))
	case 7:
		c.say(text(fmt.Sprintf(`{"actioncode":"pooled","seq":%d,"data":%d}`, c.seq, kind)))
		want.answer = answer(0, "success", fmt.Sprint(kind), "pooled", fmt.Sprint(c.seq))
	}
	want.end = c.said
	c.requests = append(c.requests, want)
	c.d.note("%v asks for %.60s", c, want.answer)
}

// flush writes up to n bytes, -1: all, as far as the kernel takes them.
func (c *actor) flush(n int) {
	if c.gone || c.ended || len(c.out) == 0 {
		return
	}
	p := c.out
	if n >= 0 {
		p = p[:min(n, len(p))]
	}
	k, err := syscall.SendmsgN(c.fd, p, nil, nil, syscall.MSG_DONTWAIT|syscall.MSG_NOSIGNAL)
	if err != nil {
		k = 0 // the end is noticed by read
	}
	c.out = c.out[k:]
	// What is written by now may have an effect.
	written := c.said - len(c.out)
	if !c.asked && written >= len(request("/ws")) {
		c.asked = true
		c.may[faultTopics] = len(c.d.published)
	}
	for _, r := range c.requests {
		if r.topic >= 0 && r.end <= written && c.may[r.topic] < 0 {
			c.may[r.topic] = len(c.d.published)
		}
	}
}

// read reads up to n bytes, -1: all there is.
func (c *actor) read(n int) {
	var buf [16 << 10]byte
	for !c.gone && !c.ended && n != 0 {
		p := buf[:]
		if n > 0 {
			p = p[:min(n, len(p))]
		}
		k, _, err := syscall.Recvfrom(c.fd, p, syscall.MSG_DONTWAIT)
		switch {
		case err == syscall.EAGAIN || err == syscall.EINTR:
			return
		case err != nil || k == 0:
			c.end(err)
			return
		}
		if n > 0 {
			n -= k
		}
		c.in = append(c.in, p[:k]...)
		for c.take() {
		}
	}
}

// take takes one thing off what was read.
func (c *actor) take() bool {
	c.d.t.Helper()
	if !c.open {
		return c.takeResponse()
	}
	r := bytes.NewReader(c.in)
	h, err := ws.ReadHeader(r)
	if err != nil || int64(r.Len()) < h.Length {
		if err == nil && h.Length > 1<<20 {
			c.d.t.Fatalf("%v: %v: %+v", c, errTooLong, h)
		}
		return false
	}
	at := len(c.in) - r.Len()
	payload := string(c.in[at : at+int(h.Length)])
	c.in = slices.Clone(c.in[at+int(h.Length):])
	if h.Masked || !h.Fin || h.Rsv != 0 || c.closed {
		c.d.t.Fatalf("%v got %+v %.60q, closed: %v", c, h, payload, c.closed)
	}
	switch h.OpCode {
	case ws.OpText:
		if strings.HasPrefix(payload, "P ") {
			c.publication(payload)
		} else {
			c.answered(payload)
		}
	case ws.OpPong:
		c.answered("pong " + payload)
	case ws.OpPing:
	case ws.OpClose:
		c.closing(payload)
	default:
		c.d.t.Fatalf("%v got %+v", c, h)
	}
	return true
}

func (c *actor) takeResponse() bool {
	end := bytes.Index(c.in, []byte("\r\n\r\n"))
	if end < 0 {
		return false
	}
	head := string(c.in[:end])
	switch {
	case strings.HasPrefix(head, "HTTP/1.1 101 ") && c.asked:
		c.in = c.in[end+4:]
		c.open = true
		c.surly[faultTopics] = len(c.d.published)
		return true
	case strings.HasPrefix(head, "HTTP/1.1 503 ") && (c.d.stopping || c.d.tight && c.n > 0):
		c.in = nil // and its body
		return false
	}
	c.d.t.Fatalf("%v got %q", c, head)
	return false
}

// answered checks an answer: it is the next one that is due, and not before its
// question.
func (c *actor) answered(got string) {
	c.d.t.Helper()
	if len(c.requests) == 0 {
		c.d.t.Fatalf("%v got an answer to nothing: %.200s", c, got)
	}
	want := c.requests[0]
	if want.topic >= 0 && strings.HasSuffix(got, want.answer) && strings.HasPrefix(got, `{"code":0,`) {
		got = want.answer
		if c.surly[want.topic] < 0 {
			c.surly[want.topic] = len(c.d.published)
		}
	}
	if c.d.tight && strings.HasPrefix(got, `{"code":10,`) && strings.HasSuffix(got, fmt.Sprintf(`"actioncode":"pooled","seq":%d}`, want.seq)) {
		got = want.answer // no memory for one more request
	}
	if got != want.answer || want.end > c.said-len(c.out) {
		c.d.t.Fatalf("%v got %.200s\nwant %.200s", c, got, want.answer)
	}
	c.requests = c.requests[1:]
}

// publication checks a published message: it is one, for this client, and newer
// than the one before.
func (c *actor) publication(payload string) {
	c.d.t.Helper()
	var n, topic int
	if _, err := fmt.Sscanf(payload, "P %d %d", &n, &topic); err != nil || n < 0 || n >= len(c.d.published) || c.d.published[n].payload != payload {
		c.d.t.Fatalf("%v got what was not published: %.80q", c, payload)
	}
	since := c.may[(topic+faultTopics+1)%(faultTopics+1)]
	if n <= c.last || since < 0 || n < since {
		c.d.t.Fatalf("%v got publish %d to topic %d after %d, and it could from %d on", c, n, topic, c.last, since)
	}
	c.last, c.got[n] = n, true
}

// subscribed is the first publish to a topic, -1: to all, that the client must get,
// or -1.
func (c *actor) subscribed(topic int) int { return c.surly[(topic+faultTopics+1)%(faultTopics+1)] }

// closing checks a close frame and answers it.
func (c *actor) closing(payload string) {
	code := 1005
	if len(payload) >= 2 {
		code = int(binary.BigEndian.Uint16([]byte(payload)))
	}
	slow, _, _ := c.fate()
	if !(code == 1000 && c.leaving || code == 1001 && c.d.stopping || code == 1008 && slow && c.d.policy == CloseSlow ||
		code == 1013 && c.d.tight && c.n > 0 || code == 4000 && c.dismissed) {
		c.d.t.Fatalf("%v was closed with %d %q", c, code, payload)
	}
	c.closed = true
	if !c.leaving {
		c.leaving = true
		c.out = nil // what is said behind a close frame is not listened to
		c.say(frame(ws.OpClose, payload[:min(2, len(payload))]))
		c.flush(-1)
	}
}

// end checks that the end of the stream has a cause.
func (c *actor) end(err error) {
	c.d.t.Helper()
	slow, broken, keptOut := c.fate()
	c.ended = true
	if !(c.leaving || c.closed || broken || c.d.stopping || keptOut && !c.open || slow && c.d.policy == CloseSlow ||
		c.d.tight && c.n > 0 || c.dismissed) {
		c.d.t.Fatalf("%v was ended for nothing: %v", c, err)
	}
	c.d.note("%v is ended: %v", c, err)
	// It may end within a message, but nothing else may have come in between.
	r := bytes.NewReader(c.in)
	if h, err := ws.ReadHeader(r); c.open && err == nil && h.OpCode == ws.OpText {
		for _, b := range c.in[len(c.in)-r.Len():] {
			if b < ' ' || b > '~' {
				c.d.t.Fatalf("%v is ended within %.200q", c, c.in)
			}
		}
	}
}

// fate is what faults have done to the client.
func (c *actor) fate() (slow, broken, keptOut bool) {
	c.d.mu.Lock()
	defer c.d.mu.Unlock()
	return c.slow && !c.d.ample, c.broken, c.d.counts["accept4"] > c.keptOutSince
}

// takes is what becomes of a write to a full client's socket. Under drama.mu.
func (c *actor) takes(size int) netpoll.Fault {
	n := min(c.room, size)
	c.room -= n
	if n == 0 {
		return netpoll.Fault{Errno: syscall.EAGAIN, Hold: true}
	}
	return netpoll.Fault{Size: n, Hold: true}
}

// setFull has the client's socket take so many bytes and no more, or again what it
// has room for.
func (c *actor) setFull(full bool, room int) {
	if c.n == 0 {
		return
	}
	c.d.mu.Lock()
	was, fd := c.full, c.serverFd
	c.full, c.room = full, room
	c.slow = c.slow || full
	c.d.mu.Unlock()
	if was == full {
		return
	}
	c.d.note("%v is full: %v, but for %d bytes", c, full, room)
	if !full && fd >= 0 {
		netpoll.Rearm(fd)
	}
}

func (c *actor) hangUp() {
	if !c.gone {
		c.gone = true
		_ = syscall.Close(c.fd)
	}
}
