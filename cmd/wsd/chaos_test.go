package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"wsd/server"
)

// Chaos: well-behaved clients and publishers beside hostile ones of every kind,
// publishers that break off, and live upgrades, all at random from a seed. Those
// who behave must not notice: every message once and in order, every heartbeat
// answered, nobody closed; and in the end the server has forgotten the others.
// A longer run: make chaos SECONDS=600 SEED=7

const (
	chaosFans    = 100 // well-behaved clients
	chaosHostile = 12  // hostile ones at a time
	chaosTopic   = "keyed"
)

func chaosNumber(t *testing.T, variable string, otherwise int) int {
	text := os.Getenv(variable)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatalf("%s=%q is no number", variable, text)
	}
	return n
}

func TestChaos(t *testing.T) {
	seconds := chaosNumber(t, "CHAOS_SECONDS", 6)
	seed := chaosNumber(t, "CHAOS_SEED", int(time.Now().UnixNano()%1e6))
	t.Logf("CHAOS_SEED=%d for %d s", seed, seconds)
	l := found(t, "", nil, "--close-timeout=1s", "--handshake-timeout=2s", "--pending-age=10m", "--pending-limit=1MiB")
	c := gather(t, l.running, chaosFans, 200*time.Millisecond, 10*time.Millisecond)
	h := &hostility{t: t, r: l.running, stop: make(chan struct{})}
	for i := range chaosHostile {
		h.done.Go(func() { h.live(rand.New(rand.NewPCG(uint64(seed), uint64(i)))) })
	}
	k := newKeyed(t, l.running)
	h.done.Go(func() { k.publishAll(h.stop, rand.New(rand.NewPCG(uint64(seed), chaosHostile))) })

	rnd := rand.New(rand.NewPCG(uint64(seed), chaosHostile+1))
	upgrades := 0
	for end := time.Now().Add(time.Duration(seconds) * time.Second); time.Now().Before(end); upgrades++ {
		c.more(10 + rnd.Int64N(60))
		before := l.pid
		l.succeed()
		until(t, "the old process ends", func() bool { return gone(before) })
	}
	c.check()
	h.end()
	k.check()
	l.settled(chaosFans + 1)
	t.Logf("%d upgrades; %s; %d hostile connections, %d publishes broken off; %s", upgrades, c.totals(), h.connections.Load(), k.brokenOff.Load(), h.kinds())
}

// settled waits until only n clients are left, nothing is held for anybody else,
// and each client that ever came is counted once.
func (l *lineage) settled(n int) {
	l.t.Helper()
	var st server.Stats
	until(l.t, "the server has forgotten the hostile", func() bool {
		st = server.Stats{}
		l.stats(&st)
		closed := uint64(0)
		for _, k := range st.Closed {
			closed += k
		}
		return st.Clients.Connected == int64(n) && st.Clients.Open == int64(n) && st.PendingBytes == 0 && st.PublishesUnderWay == 0 &&
			st.Accepted == closed+uint64(n)
	})
	if q := st.Queue; q.Queued != q.Sent+q.Evicted+q.Coalesced+q.Expired+q.Lost {
		l.t.Errorf("the queue does not add up: %+v", q)
	}
}

// hostility is the hostile clients.
type hostility struct {
	t           *testing.T
	r           *running
	stop        chan struct{}
	done        sync.WaitGroup
	connections atomic.Int64
	each        [16]atomic.Int64
}

// hostile are the kinds. Each has a connection of its own, with a deadline, and
// returns when it likes; how the connection then ends is drawn as well.
var hostile = []struct {
	name  string
	shake bool // does a handshake first
	do    func(c net.Conn, rnd *rand.Rand)
}{
	{"garbage", false, func(c net.Conn, rnd *rand.Rand) { sayRandom(c, rnd, 1+rnd.IntN(20_000)) }},
	{"half a handshake", false, func(c net.Conn, rnd *rand.Rand) {
		say(c, "GET /ws HTTP/1.1\r\nHost: x\r\nX-Long: "+strings.Repeat("a", rnd.IntN(12_000)))
		linger(c, rnd)
	}},
	{"garbage in frames", true, func(c net.Conn, rnd *rand.Rand) { sayRandom(c, rnd, 1+rnd.IntN(20_000)) }},
	{"a message cut short", true, func(c net.Conn, rnd *rand.Rand) {
		whole := string(clientFrame(ws.OpText, strings.Repeat("x", 1+rnd.IntN(60_000))))
		say(c, whole[:rnd.IntN(len(whole))])
		linger(c, rnd)
	}},
	{"heartbeats without reading", true, func(c net.Conn, rnd *rand.Rand) {
		say(c, strings.Repeat(string(clientFrame(ws.OpText, `{"actioncode":"heart_beat"}`)), 1+rnd.IntN(5000)))
		linger(c, rnd)
	}},
	{"large answers", true, func(c net.Conn, rnd *rand.Rand) {
		topics := make([]string, 64)
		for i := range topics {
			topics[i] = fmt.Sprintf("%q", strings.Repeat(string(rune('a'+i%26)), 100)+strconv.Itoa(i))
		}
		say(c, string(clientFrame(ws.OpText, `{"actioncode":"subscribe","data":{"topics":[`+strings.Join(topics, ",")+`]}}`)))
		go func() { _, _ = io.Copy(io.Discard, c) }()
		say(c, strings.Repeat(string(clientFrame(ws.OpText, `{"actioncode":"whoami"}`)), 1+rnd.IntN(2000)))
	}},
	{"pings", true, func(c net.Conn, rnd *rand.Rand) {
		say(c, strings.Repeat(string(clientFrame(ws.OpPing, "p")), 1+rnd.IntN(300)))
	}},
	{"fragments", true, func(c net.Conn, rnd *rand.Rand) {
		piece := string(ws.MustCompileFrame(ws.MaskFrame(ws.NewFrame(ws.OpContinuation, false, []byte("x")))))
		say(c, string(ws.MustCompileFrame(ws.MaskFrame(ws.NewFrame(ws.OpText, false, []byte("x")))))+strings.Repeat(piece, rnd.IntN(2000)))
		linger(c, rnd)
	}},
	{"echo without reading", true, func(c net.Conn, rnd *rand.Rand) {
		big := string(clientFrame(ws.OpText, `{"actioncode":"echo","data":"`+strings.Repeat("e", 50_000)+`"}`))
		for range 1 + rnd.IntN(60) {
			say(c, big)
		}
	}},
	{"subscriptions", true, func(c net.Conn, rnd *rand.Rand) {
		go func() { _, _ = io.Copy(io.Discard, c) }()
		for range 1 + rnd.IntN(500) {
			action := [2]string{"subscribe", "unsubscribe"}[rnd.IntN(2)]
			say(c, string(clientFrame(ws.OpText, fmt.Sprintf(`{"actioncode":%q,"data":{"topics":["t%d"]}}`, action, rnd.IntN(90)))))
		}
	}},
	{"questions to nobody", true, func(c net.Conn, rnd *rand.Rand) {
		say(c, strings.Repeat(string(clientFrame(ws.OpBinary, `{"actioncode":"\ud83d","is_broadcast":true,"data":[[[[[[`)), 1+rnd.IntN(500)))
	}},
}

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

// live is the lives of one hostile client after the other.
func (h *hostility) live(rnd *rand.Rand) {
	for {
		select {
		case <-h.stop:
			return
		default:
		}
		kind := rnd.IntN(len(hostile))
		if err := h.one(kind, rnd); err != nil {
			h.t.Errorf("%s: %v", hostile[kind].name, err)
			return
		}
	}
}

func (h *hostility) one(kind int, rnd *rand.Rand) error {
	c, err := net.Dial("tcp", h.r.listen)
	if err != nil {
		return err
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(3 * time.Second))
	h.connections.Add(1)
	h.each[kind].Add(1)
	if hostile[kind].shake {
		shake := ws.Dialer{NetDial: func(context.Context, string, string) (net.Conn, error) { return c, nil }}
		if _, _, _, err := shake.Dial(context.Background(), "ws://localhost/ws"); err != nil {
			return err
		}
	}
	hostile[kind].do(c, rnd)
	switch tcp := c.(*net.TCPConn); rnd.IntN(3) {
	case 0:
		_ = tcp.SetLinger(0) // a reset
	case 1:
		_ = tcp.CloseWrite()
		linger(c, rnd)
	}
	return nil
}

func (h *hostility) end() {
	close(h.stop)
	h.done.Wait()
}

func (h *hostility) kinds() string {
	var all []string
	for i := range hostile {
		all = append(all, fmt.Sprintf("%s %d", hostile[i].name, h.each[i].Load()))
	}
	return strings.Join(all, ", ")
}

// keyed is a subscriber, and a publisher that breaks off many of its requests
// and repeats each with its Idempotency-Key until it is answered: what it
// publishes arrives once.
type keyed struct {
	t         *testing.T
	admin     string
	in        *bufio.Reader
	c         net.Conn
	published atomic.Int64
	brokenOff atomic.Int64
	heard     chan error
}

func newKeyed(t *testing.T, r *running) *keyed {
	t.Helper()
	k := &keyed{t: t, admin: r.admin, c: r.dial("/ws"), heard: make(chan error, 1)}
	_ = k.c.SetDeadline(time.Time{})
	ask(t, k.c, `{"actioncode":"subscribe","data":{"topics":["`+chaosTopic+`"]}}`)
	k.in = bufio.NewReader(k.c)
	go func() { k.heard <- k.listen() }()
	return k
}

// listen ends with the message "end". What is published to all comes as well.
func (k *keyed) listen() error {
	for next := 0; ; {
		op, payload, err := readFrame(k.in)
		switch text := string(payload); {
		case err != nil:
			return err
		case op == ws.OpPing || strings.HasPrefix(text, "#"):
		case op == ws.OpText && text == "end":
			if int64(next) != k.published.Load() {
				return fmt.Errorf("%d of %d messages came", next, k.published.Load())
			}
			return nil
		case op == ws.OpText && text == fmt.Sprintf("keyed %d", next):
			next++
		default:
			return fmt.Errorf("got %v %q where message %d was due", op, text, next)
		}
	}
}

func (k *keyed) publishAll(stop <-chan struct{}, rnd *rand.Rand) {
	for {
		select {
		case <-stop:
			return
		case <-time.After(time.Duration(rnd.IntN(5)) * time.Millisecond):
		}
		n := k.published.Load()
		for !k.publish(fmt.Sprintf("keyed %d", n), fmt.Sprintf("k%d", n), time.Duration(rnd.IntN(3000))*time.Microsecond) {
			k.brokenOff.Add(1)
		}
		if k.t.Failed() {
			return
		}
		k.published.Add(1)
	}
}

// publish reports whether it was answered; after the time it breaks off, unless
// that is 0. An answer other than 200 is a failure of the test, but for 409,
// which says that the request it repeats is still under way.
func (k *keyed) publish(text, key string, after time.Duration) bool {
	ctx := context.Background()
	if after > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, after)
		defer cancel()
	}
	q, err := http.NewRequestWithContext(ctx, "POST", "http://"+k.admin+"/v1/publish?topic="+chaosTopic, strings.NewReader(text))
	if err != nil {
		k.t.Error(err)
		return true
	}
	q.Header.Set("Idempotency-Key", key)
	answer, err := http.DefaultClient.Do(q)
	if err != nil {
		if !errors.Is(err, context.DeadlineExceeded) {
			k.t.Errorf("publish %s: %v", key, err)
			return true
		}
		return false
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	var result server.Result
	switch {
	case err != nil:
		return false
	case answer.StatusCode == http.StatusConflict:
		return false
	case answer.StatusCode != http.StatusOK || json.Unmarshal(body, &result) != nil || result.Matched != 1:
		k.t.Errorf("publish %s: %s %s", key, answer.Status, body)
	}
	return true
}

func (k *keyed) check() {
	k.t.Helper()
	for !k.publish("end", "end", 0) {
	}
	select {
	case err := <-k.heard:
		if err != nil {
			k.t.Errorf("the subscriber: %v", err)
		}
	case <-time.After(programPatience):
		k.t.Error("the subscriber waits in vain")
	}
}
