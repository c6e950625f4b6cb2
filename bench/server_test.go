package bench

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"wsd/conn"
)

// testServer is a plain WebSocket server, a goroutine for each connection, that
// can do everything wrong which a generator has to notice. Its fields are set
// before it starts.
type testServer struct {
	delay     time.Duration                       // before every answer
	refuse    func(n int) *conn.HTTPError         // handshake number n, from 1
	request   func(*conn.Request)                 // sees every handshake
	hangUp    func(n int) bool                    // connection n is cut at accept
	answer    func(n int, msg []byte) [][]byte    // to message n of a connection; nil: an echo
	closeWith func(n int) (ws.StatusCode, bool)   // instead of answering message n
	first     []byte                              // sent to every client that has joined
	skip      func(conn, publish int) (times int) // how often a client gets a publish; nil: once

	t        *testing.T
	listener net.Listener
	opened   atomic.Int64
	messages atomic.Int64
	pings    atomic.Int64
	mu       sync.Mutex
	conns    map[net.Conn]int
	ended    []error
	reads    map[int]int // bytes received before the upgrade, by connection
	wg       sync.WaitGroup
	publishN int
}

func start(t *testing.T, s *testServer) *testServer {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.t, s.listener, s.conns, s.reads = t, l, make(map[net.Conn]int), make(map[int]int)
	s.wg.Go(s.accept)
	t.Cleanup(s.stop)
	return s
}

func (s *testServer) url() string { return "ws://" + s.listener.Addr().String() + "/x?y=1" }

func (s *testServer) stop() {
	s.listener.Close()
	s.mu.Lock()
	for c := range s.conns {
		c.Close()
	}
	s.mu.Unlock()
	s.wg.Wait()
}

func (s *testServer) accept() {
	for n := 1; ; n++ {
		c, err := s.listener.Accept()
		if err != nil {
			return
		}
		if s.hangUp != nil && s.hangUp(n) {
			c.Close()
			continue
		}
		s.wg.Go(func() {
			err := s.serve(c, n)
			s.mu.Lock()
			delete(s.conns, c)
			s.ended = append(s.ended, err)
			s.mu.Unlock()
			c.Close()
		})
	}
}

func (s *testServer) serve(c net.Conn, n int) error {
	buf := make([]byte, 0, 256<<10)
	var up conn.Upgrader
	if s.refuse != nil {
		up.Accept = func(*conn.Request) error {
			if e := s.refuse(n); e != nil {
				return e
			}
			return nil
		}
	}
	if s.request != nil {
		up.Accept = func(r *conn.Request) error { s.request(r); return nil }
	}
	for {
		k, err := c.Read(buf[len(buf):cap(buf)])
		if err != nil {
			return err
		}
		buf = buf[:len(buf)+k]
		s.mu.Lock()
		s.reads[n] += k
		s.mu.Unlock()
		used, out, err := up.Upgrade(buf, nil, new(conn.Request))
		if used == 0 && err == nil {
			continue
		}
		// Counted before the client can know: what it has seen has been counted.
		if err == nil {
			s.opened.Add(1)
			s.mu.Lock()
			s.conns[c] = n
			s.mu.Unlock()
		}
		c.Write(append(out, s.first...))
		if err != nil {
			return err
		}
		return s.frames(c, buf[used:cap(buf)], len(buf)-used)
	}
}

func (s *testServer) frames(c net.Conn, buf []byte, have int) error {
	p := conn.Protocol{MaxMessage: 1 << 20}
	sink := &testSink{s: s}
	var state conn.State
	for {
		rest, out, err := p.Feed(&state, buf[:have], nil, sink)
		if len(out) > 0 {
			if s.delay > 0 {
				time.Sleep(s.delay)
			}
			c.Write(out)
		}
		if err != nil {
			return err
		}
		if have = copy(buf, rest); have == len(buf) {
			buf = append(buf, make([]byte, len(buf))...)
		}
		n, err := c.Read(buf[have:])
		if err != nil {
			return err
		}
		have += n
	}
}

type testSink struct {
	s *testServer
	n int
}

func (k *testSink) Message(op ws.OpCode, payload, out []byte) ([]byte, error) {
	k.n++
	k.s.messages.Add(1)
	if k.s.closeWith != nil {
		if code, ok := k.s.closeWith(k.n); ok {
			return out, &conn.CloseError{Code: code}
		}
	}
	if k.s.answer == nil {
		return conn.AppendFrame(out, op, payload), nil
	}
	for _, a := range k.s.answer(k.n, slices.Clone(payload)) {
		out = conn.AppendFrame(out, op, a)
	}
	return out, nil
}

func (k *testSink) Control(op ws.OpCode, payload []byte) error {
	if op == ws.OpPing {
		k.s.pings.Add(1)
	}
	return nil
}

// each calls f for all clients' connections and the numbers that they came with.
func (s *testServer) each(f func(c net.Conn, n int)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c, n := range s.conns {
		f(c, n)
	}
}

// publisher is an HTTP endpoint that sends what is posted to all clients.
func (s *testServer) publisher() string {
	h := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body := make([]byte, r.ContentLength)
		io.ReadFull(r.Body, body)
		s.mu.Lock()
		defer s.mu.Unlock()
		s.publishN++
		for c, n := range s.conns {
			times := 1
			if s.skip != nil {
				times = s.skip(n, s.publishN)
			}
			for range times {
				c.Write(conn.AppendFrame(nil, ws.OpBinary, body))
			}
		}
	}))
	s.t.Cleanup(h.Close)
	return h.URL
}
