package vm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gobwas/ws"
)

func itoa(n int) string { return strconv.Itoa(n) }

// peer is one connection of a client.
type peer struct {
	net.Conn
	r  io.Reader  // what the handshake read too much comes first
	mu sync.Mutex // held for a frame that is written
}

// dial connects within a time.
func dial(address string, within time.Duration) (*peer, error) {
	c, r, _, err := ws.Dialer{Timeout: within}.Dial(context.Background(), "ws://"+address+"/ws")
	if err != nil {
		return nil, err
	}
	p := &peer{Conn: c, r: c}
	if r != nil {
		p.r = r
	}
	return p, nil
}

// frame writes one, masked.
func (p *peer) frame(op ws.OpCode, payload []byte) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return ws.WriteFrame(p, ws.MaskFrame(ws.NewFrame(op, true, bytes.Clone(payload))))
}

// hear returns the next message, and answers pings on the way. The server sends
// no fragments.
func (p *peer) hear() ([]byte, error) {
	for {
		h, err := ws.ReadHeader(p.r)
		if err != nil {
			return nil, err
		}
		if h.Length > 1<<20 {
			return nil, fmt.Errorf("a frame of %d bytes", h.Length)
		}
		payload := make([]byte, h.Length)
		if _, err := io.ReadFull(p.r, payload); err != nil {
			return nil, err
		}
		switch {
		case h.OpCode == ws.OpPing:
			if err := p.frame(ws.OpPong, payload); err != nil {
				return nil, err
			}
		case h.OpCode == ws.OpClose:
			code, reason := ws.ParseCloseFrameData(payload)
			return nil, fmt.Errorf("closed: %d %s", code, reason)
		case h.OpCode.IsData():
			return payload, nil
		}
	}
}

// ask sends a request and returns the next message.
func (p *peer) ask(request string) (string, error) {
	if err := p.frame(ws.OpText, []byte(request)); err != nil {
		return "", err
	}
	answer, err := p.hear()
	return string(answer), err
}

// crowd is clients that do all that is asked of a client: they read, answer pings,
// and send a heartbeat, and the next one when it was answered.
type crowd struct {
	t       *testing.T
	peers   []*peer
	answers []atomic.Int64 // heartbeats answered, by client
	news    []atomic.Int64 // published messages received, by client
	leaving atomic.Bool
	failure chan error // first of them; a crowd has none while all is well
	ended   sync.WaitGroup
}

// join connects n healthy clients, each with so long between heartbeats.
func join(t *testing.T, address string, n int, interval time.Duration) *crowd {
	t.Helper()
	k := &crowd{t: t, peers: make([]*peer, n), answers: make([]atomic.Int64, n), news: make([]atomic.Int64, n), failure: make(chan error, 1)}
	t.Cleanup(k.leave)
	for i := range n {
		p, err := dial(address, patience)
		if err != nil {
			t.Fatal(err)
		}
		k.peers[i] = p
		k.ended.Go(func() { k.fail(i, k.live(i, interval)) }) // at once: the first ping may come before the last one is here
	}
	return k
}

func (k *crowd) fail(i int, err error) {
	if err == nil || k.leaving.Load() {
		return
	}
	select {
	case k.failure <- fmt.Errorf("client %d, after %d heartbeats: %w", i, k.answers[i].Load(), err):
	default:
	}
}

// live is what client i does, until it leaves. Each answer has to be that of the
// last heartbeat, so none is lost, comes twice or out of order.
func (k *crowd) live(i int, interval time.Duration) error {
	p := k.peers[i]
	var due *time.Timer
	for seq := int64(1); ; {
		if due == nil {
			due = time.AfterFunc(interval, func() {
				k.fail(i, p.frame(ws.OpText, fmt.Appendf(nil, `{"actioncode":"heart_beat","seq":%d}`, seq)))
			})
		}
		message, err := p.hear()
		switch {
		case err != nil:
			due.Stop()
			return err
		case !bytes.Contains(message, []byte(`"heart_beat"`)):
			k.news[i].Add(1)
		case !bytes.Contains(message, fmt.Appendf(nil, `"seq":%d,`, seq)) && !bytes.Contains(message, fmt.Appendf(nil, `"seq":%d}`, seq)):
			return fmt.Errorf("answer %s to heartbeat %d", message, seq)
		default:
			k.answers[i].Add(1)
			seq++
			due = nil
		}
	}
}

// served waits until each client has had two more answers: the second is to a
// heartbeat that was sent after the call.
func (k *crowd) served(when string) {
	k.t.Helper()
	want := make([]int64, len(k.peers))
	for i := range want {
		want[i] = k.answers[i].Load() + 2
	}
	k.reach("heartbeats are answered "+when, k.answers, want)
}

// informed waits until each client has had so many messages in all.
func (k *crowd) informed(n int64) {
	k.t.Helper()
	want := make([]int64, len(k.peers))
	for i := range want {
		want[i] = n
	}
	k.reach("everybody has each message", k.news, want)
	for i := range k.news {
		if got := k.news[i].Load(); got != n {
			k.t.Errorf("client %d has %d messages, %d were published", i, got, n)
		}
	}
}

func (k *crowd) reach(what string, of []atomic.Int64, want []int64) {
	k.t.Helper()
	i := 0
	until(k.t, what, func() bool {
		k.well()
		for i < len(of) && of[i].Load() >= want[i] {
			i++
		}
		return i == len(of)
	})
}

// well fails the test if a client was closed, or got what it should not.
func (k *crowd) well() {
	k.t.Helper()
	select {
	case err := <-k.failure:
		k.t.Fatal("a healthy client: ", err)
	default:
	}
}

func (k *crowd) leave() {
	k.leaving.Store(true)
	for _, p := range k.peers {
		if p != nil {
			p.Close()
		}
	}
	k.ended.Wait()
}

// outcomes counts how n attempts to connect end.
func outcomes(address string, n int, within time.Duration) (in []*peer, refused, timedOut int) {
	var mu sync.Mutex
	var all sync.WaitGroup
	for range n {
		all.Go(func() {
			p, err := dial(address, within)
			mu.Lock()
			defer mu.Unlock()
			var late net.Error
			switch {
			case err == nil:
				in = append(in, p)
			case errors.As(err, &late) && late.Timeout():
				timedOut++
			default:
				refused++
			}
		})
	}
	all.Wait()
	return in, refused, timedOut
}

func closeAll(peers []*peer) {
	for _, p := range peers {
		p.Close()
	}
}

// welcome waits until a newcomer is let in and served.
func welcome(t *testing.T, address string) {
	t.Helper()
	until(t, "a newcomer is served", func() bool {
		p, err := dial(address, 5*time.Second)
		if err != nil {
			return false
		}
		defer p.Close()
		_ = p.SetDeadline(time.Now().Add(patience))
		answer, err := p.ask(`{"actioncode":"heart_beat"}`)
		return err == nil && answer == `{"code":0,"msg":"success","data":true,"actioncode":"heart_beat"}`
	})
}
