package main

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/gobwas/ws"
)

// strangers are clients whose end nobody knows. Each has a connection of its own,
// with a deadline, and returns when it likes; how the connection then ends is
// drawn as well. reasons are those for which the server may have closed it, beside
// strangerReasons.
var strangers = []struct {
	name    string
	shake   bool // does a handshake first
	reasons string
	do      func(c net.Conn, rnd *rand.Rand) (messages int)
}{
	{"garbage", false, "handshake handshake_timeout", func(c net.Conn, rnd *rand.Rand) int {
		sayRandom(c, rnd, 1+rnd.IntN(20_000))
		return 0
	}},
	{"a long handshake", false, "handshake handshake_timeout", func(c net.Conn, rnd *rand.Rand) int {
		say(c, "GET /ws HTTP/1.1\r\nHost: x\r\nX-Long: "+strings.Repeat("a", rnd.IntN(12_000)))
		linger(c, rnd)
		return 0
	}},
	{"garbage in frames", true, "peer protocol utf8 too_big policy rate", func(c net.Conn, rnd *rand.Rand) int {
		n := 1 + rnd.IntN(20_000)
		sayRandom(c, rnd, n)
		return n / 6
	}},
	{"a message cut short", true, "", func(c net.Conn, rnd *rand.Rand) int {
		whole := string(clientFrame(ws.OpText, strings.Repeat("x", 1+rnd.IntN(60_000))))
		say(c, whole[:rnd.IntN(len(whole))])
		linger(c, rnd)
		return 0
	}},
	{"questions without reading", true, "slow", func(c net.Conn, rnd *rand.Rand) int {
		n := 1 + rnd.IntN(5000)
		say(c, strings.Repeat(string(clientFrame(ws.OpText, `{"actioncode":"whoami"}`)), n))
		linger(c, rnd)
		return n
	}},
	{"large answers", true, "slow", func(c net.Conn, rnd *rand.Rand) int {
		topics := make([]string, 64)
		for i := range topics {
			topics[i] = fmt.Sprintf("%q", strings.Repeat(string(rune('a'+i%26)), 100)+strconv.Itoa(i))
		}
		say(c, string(clientFrame(ws.OpText, `{"actioncode":"subscribe","data":{"topics":[`+strings.Join(topics, ",")+`]}}`)))
		go func() { _, _ = io.Copy(io.Discard, c) }()
		n := 1 + rnd.IntN(2000)
		say(c, strings.Repeat(string(clientFrame(ws.OpText, `{"actioncode":"whoami"}`)), n))
		return n + 1
	}},
	{"pings", true, "rate", func(c net.Conn, rnd *rand.Rand) int {
		say(c, strings.Repeat(string(clientFrame(ws.OpPing, "p")), 1+rnd.IntN(300)))
		return 0
	}},
	{"echo without reading", true, "slow", func(c net.Conn, rnd *rand.Rand) int {
		big := string(clientFrame(ws.OpText, `{"actioncode":"echo","data":"`+strings.Repeat("e", 50_000)+`"}`))
		n := 1 + rnd.IntN(60)
		for range n {
			say(c, big)
		}
		return n
	}},
	{"subscriptions", true, "slow", func(c net.Conn, rnd *rand.Rand) int {
		go func() { _, _ = io.Copy(io.Discard, c) }()
		n := 1 + rnd.IntN(500)
		for range n {
			action := [2]string{"subscribe", "unsubscribe"}[rnd.IntN(2)]
			say(c, string(clientFrame(ws.OpText, fmt.Sprintf(`{"actioncode":%q,"data":{"topics":["s%d"]}}`, action, rnd.IntN(90)))))
		}
		return n
	}},
	{"questions to nobody", true, "slow", func(c net.Conn, rnd *rand.Rand) int {
		n := 1 + rnd.IntN(500)
		say(c, strings.Repeat(string(clientFrame(ws.OpBinary, `{"actioncode":"\ud83d","is_broadcast":true,"data":[[[[[[`)), n))
		return n
	}},
}

// strangerReasons are those that a reset, or the end of its stream, gives.
const strangerReasons = "vanished reset unfinished"

func say(c net.Conn, text string) { _, _ = io.WriteString(c, text) }

func sayRandom(c net.Conn, rnd *rand.Rand, n int) {
	junk := make([]byte, n)
	for i := range junk {
		junk[i] = byte(rnd.Uint32())
	}
	_, _ = c.Write(junk)
}

// linger keeps the connection for a while: until the server ends it, or a moment.
func linger(c net.Conn, rnd *rand.Rand) {
	_ = c.SetReadDeadline(time.Now().Add(time.Duration(rnd.IntN(300)) * time.Millisecond))
	_, _ = io.Copy(io.Discard, c)
}

func clientFrame(op ws.OpCode, payload string) []byte {
	return ws.MustCompileFrame(ws.MaskFrame(ws.NewFrame(op, true, []byte(payload))))
}

// stranger is the life of one of them.
func (s *soak) stranger(rnd *rand.Rand) {
	kind := strangers[rnd.IntN(len(strangers))]
	c, err := dialFrom(s.l.listen, net.IPv4(127, 4, byte(rnd.IntN(250)), byte(1+rnd.IntN(250))))
	if err != nil {
		s.t.Errorf("%s: %v", kind.name, err)
		return
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(3 * time.Second))
	s.tally.add("accepted", 1)
	s.tally.add("stranger: "+kind.name, 1)
	s.tally.add("strangers", 1)
	for _, reason := range strings.Fields(kind.reasons + " " + strangerReasons) {
		s.tally.add("maybe.closed."+reason, 1)
	}
	if kind.shake {
		shake := ws.Dialer{NetDial: func(context.Context, string, string) (net.Conn, error) { return c, nil }}
		if _, _, _, err := shake.Dial(context.Background(), "ws://localhost/ws"); err != nil {
			s.t.Errorf("%s: %v", kind.name, err)
			return
		}
		s.tally.add("opened", 1)
	}
	messages := int64(kind.do(c, rnd))
	s.tally.add("maybe.messages_in", messages)
	s.tally.add("maybe.answers", messages)
	switch tcp := c.(*net.TCPConn); rnd.IntN(3) {
	case 0:
		_ = tcp.SetLinger(0) // a reset
	case 1:
		_ = tcp.CloseWrite()
		linger(c, rnd)
	}
}
