package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/gobwas/ws"
)

// soakPerAddress is how many clients one address may have. The greedy ones come
// from one address, all others from very many.
const soakPerAddress = 16

// visitor is one connection.
type visitor struct {
	s     *soak
	rnd   *rand.Rand
	c     *net.TCPConn
	in    *bufio.Reader
	heard ears
}

// visits are the ways to come and go. Each says for what reason the server will
// have closed the connection; one that does not know has tallied what it may be.
// The first stormVisits take no time.
var visits []visitKind

type visitKind struct {
	name string
	do   func(v *visitor) (reason string, err error)
	odds int
}

func init() { // not in place: the greedy bring others
	visits = []visitKind{
		{"leaves", (*visitor).leaves, 20},
		{"hangs up", (*visitor).hangsUp, 5},
		{"resets", (*visitor).resets, 5},
		{"stays", (*visitor).stays, 10},
		{"dawdles", (*visitor).dawdles, 2},
		{"takes nothing", (*visitor).takesNothing, 1},
		{"no handshake", (*visitor).noHandshake, 2},
		{"half a handshake", (*visitor).halfHandshake, 1},
		{"no first message", (*visitor).silent, 1},
		{"half a message", (*visitor).halfMessage, 1},
		{"no pong", (*visitor).noPong, 1},
		{"a reserved bit", violates("protocol", 1002, []byte{0xc1, 0x80, 0, 0, 0, 0}), 1},
		{"no mask", violates("protocol", 1002, []byte{0x81, 0x01, 'x'}), 1},
		{"no UTF-8", violates("utf8", 1007, clientFrame(ws.OpText, "\xff")), 1},
		{"too long", violates("too_big", 1009, []byte{0x81, 0xff, 0, 0, 0, 0, 0, 1, 0, 1, 0, 0, 0, 0}), 1},
		{"too many fragments", violates("policy", 1008, manyFragments), 1},
		{"too many pings", violates("rate", 1008, []byte(strings.Repeat(string(clientFrame(ws.OpPing, "p")), 300))), 1},
		{"closed by the operator", (*visitor).closedByOperator, 1},
		{"greedy", (*visitor).greedyAndOthers, 1},
		{"greedy, brought along", (*visitor).greedy, 0},
	}
}

const stormVisits = 3

var manyFragments = append(ws.MustCompileFrame(ws.MaskFrame(ws.NewFrame(ws.OpText, false, []byte("x")))),
	strings.Repeat(string(ws.MustCompileFrame(ws.MaskFrame(ws.NewFrame(ws.OpContinuation, false, []byte("x"))))), 1100)...)

func drawVisit(rnd *rand.Rand) int {
	sum := 0
	for i := range visits {
		sum += visits[i].odds
	}
	for n, i := rnd.IntN(sum), 0; ; i++ {
		if n -= visits[i].odds; n < 0 {
			return i
		}
	}
}

// visit is a connection from its beginning to its end.
func (s *soak) visit(kind int, rnd *rand.Rand) {
	v := &visitor{s: s, rnd: rnd}
	var from net.IP
	if strings.HasPrefix(visits[kind].name, "greedy") {
		from = net.IPv4(127, 3, 0, 1)
	} else {
		from = net.IPv4(127, 2, byte(rnd.IntN(250)), byte(1+rnd.IntN(250)))
	}
	c, err := dialFrom(s.l.listen, from)
	if err != nil {
		s.t.Errorf("%s: %v", visits[kind].name, err)
		return
	}
	defer c.Close()
	v.c, v.in = c.(*net.TCPConn), bufio.NewReaderSize(c, 512)
	_ = c.SetDeadline(time.Now().Add(patience))
	s.tally.add("accepted", 1)
	s.tally.add("visit: "+visits[kind].name, 1)
	reason, err := visits[kind].do(v)
	if err != nil {
		s.t.Errorf("%s: %v", visits[kind].name, err)
		return
	}
	if reason != "" {
		s.tally.add("closed."+reason, 1)
	}
}

// dialFrom connects from an address of this host, of which there are more than
// ports.
func dialFrom(address string, from net.IP) (net.Conn, error) {
	dialer := net.Dialer{Timeout: patience, LocalAddr: &net.TCPAddr{IP: from}}
	return dialer.Dial("tcp", address)
}

func (v *visitor) say(text string) error {
	_, err := io.WriteString(v.c, text)
	return err
}

// shake does the handshake, and says whether the visitor was let in.
func (v *visitor) shake() (bool, error) {
	shake := ws.Dialer{NetDial: func(context.Context, string, string) (net.Conn, error) { return v.c, nil }}
	_, early, _, err := shake.Dial(context.Background(), "ws://localhost/ws")
	if status := ws.StatusError(0); errors.As(err, &status) && status == http.StatusServiceUnavailable {
		return false, nil
	}
	if early != nil { // a publish came right behind the response
		v.in = early
	}
	if err == nil {
		v.s.tally.add("opened", 1)
	}
	return err == nil, err
}

// enter does the handshake and a heartbeat: an honest client.
func (v *visitor) enter() error {
	if in, err := v.shake(); err != nil || !in {
		return errors.Join(err, errors.New("not let in"))
	}
	return v.beat()
}

func (v *visitor) beat() error {
	answer, err := v.ask(`{"actioncode":"heart_beat"}`)
	if err == nil && string(answer) != heartBeat {
		err = fmt.Errorf("heartbeat: %s", answer)
	}
	v.s.tally.add("action.heart_beat", 1)
	return err
}

// ask sends a request and waits for the answer. Publishes may come before it.
func (v *visitor) ask(request string) ([]byte, error) {
	if err := v.say(string(clientFrame(ws.OpText, request))); err != nil {
		return nil, err
	}
	v.s.tally.add("messages_in", 1)
	for {
		op, payload, err := readFrame(v.in)
		switch {
		case err != nil:
			return nil, err
		case op == ws.OpText && payload[0] == '{':
			v.s.tally.add("answers", 1)
			return payload, nil
		}
		if err := v.take(op, payload); err != nil {
			return nil, err
		}
	}
}

// take takes a frame that nobody has asked for.
func (v *visitor) take(op ws.OpCode, payload []byte) error {
	switch op {
	case ws.OpPing, ws.OpPong: // who has to answer a ping does not get any
		return nil
	case ws.OpText:
		v.s.tally.add("received by visitors", 1)
		return v.heard.hear(payload)
	}
	return fmt.Errorf("got %v %q", op, payload)
}

// listen reads to the end of the connection and returns the code of the close
// frame, 0 if there was none, and its text.
func (v *visitor) listen() (code ws.StatusCode, text string, err error) {
	for {
		op, payload, err := readFrame(v.in)
		switch {
		case isEnd(err):
			return code, text, nil
		case err != nil:
			return code, text, err
		case op == ws.OpClose:
			code, text = ws.ParseCloseFrameData(payload)
		default:
			if err := v.take(op, payload); err != nil {
				return code, text, err
			}
		}
	}
}

// isEnd says whether the connection has ended: with bytes unread, or unsent, by a
// reset or in a frame.
func isEnd(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

// closed expects to be closed with a code.
func (v *visitor) closed(reason string, want ws.StatusCode) (string, error) {
	code, text, err := v.listen()
	if err == nil && code != want {
		err = fmt.Errorf("closed with %d %s, want %d", code, text, want)
	}
	return reason, err
}

func (v *visitor) close() error {
	return ws.WriteFrame(v.c, ws.MaskFrame(ws.NewCloseFrame(ws.NewCloseFrameBody(1000, ""))))
}

func (v *visitor) leaves() (string, error) {
	if err := errors.Join(v.enter(), v.close()); err != nil {
		return "", err
	}
	return v.closed("peer", 1000)
}

func (v *visitor) hangsUp() (string, error) {
	if err := errors.Join(v.enter(), v.c.CloseWrite()); err != nil {
		return "", err
	}
	return v.closed("vanished", 0)
}

func (v *visitor) resets() (string, error) {
	err := v.enter()
	return "reset", errors.Join(err, v.c.SetLinger(0)) // visit closes
}

// stays subscribes, listens for a while, and leaves.
func (v *visitor) stays() (string, error) {
	if err := v.enter(); err != nil {
		return "", err
	}
	for range 1 + v.rnd.IntN(20) {
		if _, err := v.ask(subscribeTo(1 << v.rnd.IntN(soakTopics))); err != nil {
			return "", err
		}
		time.Sleep(time.Duration(v.rnd.Int64N(int64(v.s.plan.think))))
	}
	if err := v.close(); err != nil {
		return "", err
	}
	return v.closed("peer", 1000)
}

// dawdles has room for little and reads a message now and then: what it is sent
// waits at the server. It is slow, or comes to its end.
func (v *visitor) dawdles() (string, error) {
	if err := errors.Join(v.c.SetReadBuffer(4096), v.enter()); err != nil {
		return "", err
	}
	if _, err := v.ask(subscribeTo(1<<soakTopics - 1)); err != nil {
		return "", err
	}
	for range 20 {
		time.Sleep(time.Duration(v.rnd.Int64N(int64(200 * time.Millisecond))))
		op, payload, err := readFrame(v.in)
		if err == nil && op == ws.OpClose {
			return slowOrIdle(ws.ParseCloseFrameData(payload))
		}
		if isEnd(err) {
			return v.cutOff()
		}
		if err = errors.Join(err, v.take(op, payload)); err != nil {
			return "", err
		}
	}
	if err := v.close(); isEnd(err) {
		return v.cutOff()
	} else if err != nil {
		return "", err
	}
	code, text, err := v.listen()
	if code == 0 && err == nil {
		return v.cutOff()
	}
	if err != nil || code == ws.StatusNormalClosure {
		return "peer", err
	}
	return slowOrIdle(code, text)
}

// slowOrIdle tells the two from each other: pings wait behind the rest.
func slowOrIdle(code ws.StatusCode, text string) (reason string, err error) {
	switch {
	case code == ws.StatusPolicyViolation && strings.HasPrefix(text, "too slow"):
		return "slow", nil
	case code == ws.StatusPolicyViolation && strings.HasPrefix(text, "idle"):
		return "idle", nil
	}
	return "", fmt.Errorf("closed with %d %s", code, text)
}

// cutOff is for one that did not take its close frame in time.
func (v *visitor) cutOff() (string, error) {
	v.s.tally.add("maybe.closed.slow", 1)
	v.s.tally.add("maybe.closed.idle", 1)
	return "", nil
}

// takesNothing asks for more than waits for one client, and reads nothing of it.
func (v *visitor) takesNothing() (string, error) {
	if err := errors.Join(v.c.SetReadBuffer(4096), v.enter()); err != nil {
		return "", err
	}
	big := string(clientFrame(ws.OpText, `{"actioncode":"echo","data":"`+strings.Repeat("e", 50_000)+`"}`))
	var err error
	for err == nil {
		v.s.tally.add("maybe.messages_in", 1)
		v.s.tally.add("maybe.answers", 1)
		err = v.say(big)
	}
	if isEnd(err) {
		err = nil
	}
	return "slow", err
}

func (v *visitor) noHandshake() (string, error) {
	request := []string{"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "BREW /ws HTTP/1.1\r\n\r\n", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"}[v.rnd.IntN(3)]
	err := v.say(request)
	_, _ = io.Copy(io.Discard, v.c)
	return "handshake", err
}

func (v *visitor) halfHandshake() (string, error) {
	err := v.say("GET /ws HTTP/1.1\r\nHost: x\r\nX-Long: " + strings.Repeat("a", v.rnd.IntN(4000)))
	_, _ = io.Copy(io.Discard, v.c)
	return "handshake_timeout", err
}

func (v *visitor) silent() (string, error) {
	if _, err := v.shake(); err != nil {
		return "", err
	}
	return v.closed("silent", ws.StatusPolicyViolation)
}

func (v *visitor) halfMessage() (string, error) {
	frame := clientFrame(ws.OpText, strings.Repeat("h", 100+v.rnd.IntN(50_000)))
	if err := errors.Join(v.enter(), v.say(string(frame[:50]))); err != nil {
		return "", err
	}
	time.Sleep(time.Duration(v.rnd.Int64N(int64(500 * time.Millisecond))))
	if err := v.say(string(frame[50 : len(frame)-1])); err != nil {
		return "", err
	}
	return v.closed("unfinished", ws.StatusPolicyViolation)
}

func (v *visitor) noPong() (string, error) {
	if err := v.enter(); err != nil {
		return "", err
	}
	return v.closed("idle", ws.StatusPolicyViolation)
}

// violates sends what the protocol does not allow.
func violates(reason string, code ws.StatusCode, stream []byte) func(v *visitor) (string, error) {
	return func(v *visitor) (string, error) {
		if err := errors.Join(v.enter(), v.say(string(stream))); err != nil {
			return "", err
		}
		return v.closed(reason, code)
	}
}

func (v *visitor) closedByOperator() (string, error) {
	if err := v.enter(); err != nil {
		return "", err
	}
	answer, err := v.ask(`{"actioncode":"whoami"}`)
	if err != nil {
		return "", err
	}
	id, err := clientID(answer)
	if err != nil {
		return "", err
	}
	q, err := http.NewRequest("DELETE", "http://"+v.s.l.admin+"/v1/clients/"+id+"?code=4001", nil)
	if err != nil {
		return "", err
	}
	deleted, err := v.s.client.Do(q)
	if err != nil {
		return "", err
	}
	deleted.Body.Close()
	if deleted.StatusCode != http.StatusNoContent {
		return "", errors.New(deleted.Status)
	}
	return v.closed("admin", 4001)
}

// greedyAndOthers are more from one address than it may have.
func (v *visitor) greedyAndOthers() (string, error) {
	var others sync.WaitGroup
	defer others.Wait()
	for range soakPerAddress {
		rnd := rand.New(rand.NewPCG(v.rnd.Uint64(), 0))
		others.Go(func() { v.s.visit(len(visits)-1, rnd) })
	}
	return v.greedy()
}

func (v *visitor) greedy() (string, error) {
	in, err := v.shake()
	if err != nil {
		return "", err
	}
	if !in {
		v.s.tally.add("refused.max_per_address", 1)
		return "refused", nil
	}
	if err := v.beat(); err != nil {
		return "", err
	}
	time.Sleep(time.Duration(v.rnd.Int64N(int64(300 * time.Millisecond))))
	if err := v.close(); err != nil {
		return "", err
	}
	return v.closed("peer", 1000)
}
