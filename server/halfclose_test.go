package server

import (
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// fill sends messages of 1000 bytes to the echo until an answer waits in the
// server: one after the other, so that it is one, and the client is read on.
func (p *peer) fill(s *site) (sent int) {
	p.t.Helper()
	before := s.Stats().MessagesIn
	for s.memory.held.Load() == 0 {
		p.write(text(strings.Repeat("x", 1000)))
		sent++
		s.until("it is answered", func(st Stats) bool { return st.MessagesIn == before+uint64(sent) })
	}
	return sent
}

// TestHalfClose: who ends its side of the stream and still has answers waiting
// gets all of them, each whole, and then the end.
func TestHalfClose(t *testing.T) {
	s := start(t, Config{EchoPath: "/echo", NotsentLowat: 4096})
	for range 5 {
		p := s.stuck("/echo")
		sent := p.fill(s)
		before := s.Stats().Closed["vanished"]
		if err := p.Conn.(*net.TCPConn).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		s.closed(ReasonVanished, before+1)
		for i := range sent {
			if f, err := p.next(); err != nil || len(f.Payload) != 1000 {
				t.Fatalf("answer %d of %d: %.20q, %v", i+1, sent, f.Payload, err)
			}
		}
		if b, err := p.br.ReadByte(); err != io.EOF {
			t.Errorf("after the last: %q, %v", b, err)
		}
		p.Close()
		s.until("it is gone", func(st Stats) bool { return st.Clients.Connected == 0 })
	}
}

// TestHalfCloseHasATime: who ends its side and takes nothing is cut off.
func TestHalfCloseHasATime(t *testing.T) {
	s := start(t, Config{EchoPath: "/echo", NotsentLowat: 4096, CloseTimeout: 100 * time.Millisecond})
	p := s.stuck("/echo")
	p.fill(s)
	if err := p.Conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	s.until("it is gone", func(st Stats) bool { return st.Clients.Connected == 0 && st.Closed["vanished"] == 1 })
}

// TestHalfCloseWhileClosing: the close frame behind what waits arrives as well.
func TestHalfCloseWhileClosing(t *testing.T) {
	s := start(t, Config{EchoPath: "/echo", NotsentLowat: 4096})
	p := s.stuck("/echo")
	sent := p.fill(s)
	p.write("\x81\x01x") // not masked: closed with 1002
	s.closed(ReasonProtocol, 1)
	if err := p.Conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	for i := range sent {
		if f, err := p.next(); err != nil || len(f.Payload) != 1000 {
			t.Fatalf("answer %d of %d: %v", i+1, sent, err)
		}
	}
	p.left = true
	if code, _ := p.ended(); code != 1002 {
		t.Errorf("closed with %d", code)
	}
}
