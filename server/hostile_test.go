package server

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gobwas/ws"
)

// TestBrokenFrames: each breach of the protocol is answered by its close code,
// at once, also when more follows, and nobody else is harmed.
func TestBrokenFrames(t *testing.T) {
	s := start(t, Config{EchoPath: "/echo", MaxMessage: 1000, MaxFragments: 10})
	other := s.dialPath("/echo")
	length := func(first byte, n uint64) string {
		return string(binary.BigEndian.AppendUint64([]byte{first, 0xff}, n)) + "\x01\x02\x03\x04"
	}
	for name, c := range map[string]struct {
		frames string
		code   ws.StatusCode
		reason Reason
	}{
		"unmasked":                {"\x81\x05hello", 1002, ReasonProtocol},
		"unmasked close":          {"\x88\x00", 1002, ReasonProtocol},
		"reserved bit 1":          {"\xc1\x80\x00\x00\x00\x00", 1002, ReasonProtocol},
		"reserved bit 2":          {"\xa1\x80\x00\x00\x00\x00", 1002, ReasonProtocol},
		"reserved bit 3":          {"\x91\x80\x00\x00\x00\x00", 1002, ReasonProtocol},
		"opcode 3":                {"\x83\x80\x00\x00\x00\x00", 1002, ReasonProtocol},
		"opcode 15":               {"\x8f\x80\x00\x00\x00\x00", 1002, ReasonProtocol},
		"continuation of nothing": {part(ws.OpContinuation, true, "x"), 1002, ReasonProtocol},
		"text within a message":   {part(ws.OpText, false, "a") + text("b"), 1002, ReasonProtocol},
		"cut ping":                {part(ws.OpPing, false, ""), 1002, ReasonProtocol},
		"long ping":               {frame(ws.OpPing, strings.Repeat("x", 126)), 1002, ReasonProtocol},
		"close of one byte":       {frame(ws.OpClose, "\x03"), 1002, ReasonProtocol},
		"close code 1005":         {frame(ws.OpClose, "\x03\xed"), 1002, ReasonProtocol},
		"close reason":            {frame(ws.OpClose, "\x03\xe8\xff"), 1007, ReasonUTF8},
		"length in long form":     {length(0x82, 5), 1002, ReasonProtocol},
		"length 2^63":             {length(0x82, 1<<63), 1002, ReasonProtocol},
		"length 2^63-1":           {length(0x82, 1<<63-1), 1009, ReasonTooBig},
		"length 2^63-1, text":     {length(0x81, 1<<63-1) + strings.Repeat("x", 100_000), 1009, ReasonTooBig},
		"length 2^32":             {length(0x82, 1<<32), 1009, ReasonTooBig},
		"one byte too many":       {frame(ws.OpBinary, strings.Repeat("x", 1001)), 1009, ReasonTooBig},
		"too many in fragments":   {part(ws.OpBinary, false, strings.Repeat("x", 999)) + part(ws.OpContinuation, true, "xx"), 1009, ReasonTooBig},
		"too many fragments":      {part(ws.OpText, false, "") + strings.Repeat(part(ws.OpContinuation, false, ""), 10), 1008, ReasonPolicy},
		"not UTF-8":               {text("a\xff"), 1007, ReasonUTF8},
		"not UTF-8, first half":   {part(ws.OpText, false, "\xed\xa0"), 1007, ReasonUTF8},
		"cut rune":                {text("\xe2\x82"), 1007, ReasonUTF8},
	} {
		t.Run(name, func(t *testing.T) {
			before := s.Stats().Closed[c.reason.String()]
			for _, tail := range []string{"", text("more"), strings.Repeat("garbage", 20_000)} {
				p := s.dialPath("/echo")
				p.write(text("fine") + c.frames)
				p.try(tail)
				p.expect("fine")
				p.left = true // it says no more
				if code, reason := p.ended(); code != c.code || reason == "" {
					t.Errorf("closed with %d %q, want %d", code, reason, c.code)
				}
				p.Close()
			}
			s.closed(c.reason, before+3)
		})
	}
	other.ask("x", "x")
	s.until("only one is left", func(st Stats) bool { return st.Clients.Connected == 1 })
}

// TestGarbage: bytes of no meaning, at every stage, and none of it after the
// close frame is listened to.
func TestGarbage(t *testing.T) {
	s := start(t, Config{CloseTimeout: 100 * time.Millisecond})
	other := s.dial()
	for i := range 60 {
		p := s.connect()
		if i%3 > 0 {
			p.shake("/ws")
		}
		if i%3 == 2 {
			p.alive()
		}
		junk := make([]byte, 5000)
		for k := range junk {
			junk[k] = byte(i*k*k>>3 + i*k + 7*i)
		}
		p.try(string(junk))
		if i%2 == 0 {
			p.Close()
		} else {
			_ = p.SetReadDeadline(time.Now().Add(patience))
			if _, err := io.Copy(io.Discard, p.br); errors.Is(err, os.ErrDeadlineExceeded) {
				t.Fatalf("client %d is still connected", i)
			}
			p.Close()
		}
		other.alive()
	}
	s.until("only one is left", func(st Stats) bool { return st.Clients.Connected == 1 })
}

// TestOneByteAtATime: request, frames, fragments, control frames, the close:
// everything works however it trickles.
func TestOneByteAtATime(t *testing.T) {
	s := start(t, Config{EchoPath: "/echo"})
	p := s.connect()
	stream := request("/echo") + text("hello") + frame(ws.OpPing, "ping") +
		part(ws.OpText, false, "a€") + frame(ws.OpPong, "") + part(ws.OpContinuation, false, "") + part(ws.OpContinuation, true, "b") +
		frame(ws.OpBinary, strings.Repeat("z", 300)) + frame(ws.OpClose, "\x03\xe8bye")
	p.left = true
	go func() {
		for i := range len(stream) {
			p.try(stream[i : i+1])
		}
	}()
	if r := p.response(); r.StatusCode != 101 {
		t.Fatal(r.Status)
	}
	p.expect("hello")
	if f, err := p.next(); err != nil || f.Header.OpCode != ws.OpPong || string(f.Payload) != "ping" {
		t.Fatalf("%+v %v", f, err)
	}
	p.expect("a€b")
	p.expect(strings.Repeat("z", 300))
	p.closedWith(1000)
}

// TestHalfFrames: many clients that stop in the middle of a frame, or of the
// handshake, hold no worker: who is whole is served at once. What they hold is
// the bytes they sent, not those they announced.
func TestHalfFrames(t *testing.T) {
	s := start(t, Config{EchoPath: "/echo", MaxMessage: 1 << 18, Workers: 1})
	const n = 600
	whole := frame(ws.OpBinary, strings.Repeat("x", 1<<18))
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	var peers []*peer
	for i := range n {
		p := s.connect()
		peers = append(peers, p)
		switch i % 4 {
		case 0:
			p.write(request("/echo")[:50])
			continue
		case 1:
			p.shake("/echo")
			p.write(whole[:3]) // a cut header
		case 2:
			p.shake("/echo")
			p.write(whole[:100]) // 256 KiB are announced
		case 3:
			p.shake("/echo")
			p.write(part(ws.OpText, false, "begun") + part(ws.OpContinuation, false, "on")[:3])
		}
	}
	other := s.dialPath("/echo")
	for range 100 {
		other.ask("x", "x")
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > n*4096+(4<<20) {
		t.Errorf("%d half frames hold %d bytes", n, grown)
	}
	for i, p := range peers {
		switch i % 8 {
		case 2:
			p.write(whole[100:])
			p.expect(strings.Repeat("x", 1<<18))
		case 3:
			p.write(part(ws.OpContinuation, false, "on")[3:] + part(ws.OpContinuation, true, "!"))
			p.expect("begunon!")
		}
		p.reset()
	}
	other.ask("x", "x")
	s.until("only one is left", func(st Stats) bool { return st.Clients.Connected == 1 })
}

// TestEmptyFragments: a message without end is ended, whatever it consists of.
func TestEmptyFragments(t *testing.T) {
	s := start(t, Config{CloseTimeout: 100 * time.Millisecond, ControlRate: -1})
	other := s.dial()
	for _, tail := range []string{part(ws.OpContinuation, false, ""), part(ws.OpContinuation, false, "") + frame(ws.OpPong, "")} {
		p := s.dial()
		p.write(part(ws.OpText, false, ""))
		if code, reason := p.flood(tail); code != 1008 || reason != "too many fragments" {
			t.Errorf("closed with %d %q", code, reason)
		}
		other.alive()
	}
	s.until("only one is left", func(st Stats) bool { return st.Clients.Connected == 1 })
}

// TestPingFlood: pongs are never more than pings, a sender that does not read
// them is bounded, and others are served meanwhile.
func TestPingFlood(t *testing.T) {
	s := start(t, tight(Config{ControlRate: -1, CloseTimeout: 100 * time.Millisecond}))
	other, p := s.dial(), s.stuck("/ws")
	stop := make(chan struct{})
	go func() {
		defer close(stop)
		ping := strings.Repeat(frame(ws.OpPing, strings.Repeat("p", 125)), 50)
		for {
			if _, err := p.Conn.Write([]byte(ping)); err != nil {
				return
			}
		}
	}()
	for range 300 {
		other.alive()
		// One read's worth beyond where reading pauses.
		if n := s.memory.held.Load(); n > int64(s.cfg.PendingLimit/4)+readSize+flushSize {
			t.Fatalf("%d bytes of pongs are waiting", n)
		}
	}
	p.reset()
	<-stop
	s.until("it is gone", func(st Stats) bool { return st.Clients.Connected == 1 })
}

// TestResetStorm: connections that are reset at every stage leave nothing.
func TestResetStorm(t *testing.T) {
	s := start(t, Config{Mux: testMux()})
	other := s.dial()
	var wg sync.WaitGroup
	for k := range 6 {
		wg.Go(func() {
			for i := range 60 {
				p := s.connect()
				switch (i + k) % 6 {
				case 0: // connect and vanish
				case 1:
					p.try(request("/ws")[:30])
				case 2:
					p.try(request("/ws"))
				case 3:
					p.try(request("/ws") + text(beat) + text(beat)[:7])
				case 4:
					p.shake("/ws")
					p.try(strings.Repeat(text(`{"actioncode":"add_pooled","data":[1]}`), 20))
				case 5:
					p.shake("/ws")
					p.send(`{"actioncode":"subscribe","data":{"topics":["a"]}}`)
				}
				if i%5 == 0 {
					p.Close()
				} else {
					p.reset()
				}
			}
		})
	}
	for range 100 {
		s.publish(All(), "x")
		other.expect("x")
		other.alive()
	}
	wg.Wait()
	st := s.until("only one is left", func(st Stats) bool { return st.Clients.Connected == 1 && st.Subscribed == 0 })
	if st.Closed["internal"] != 0 {
		t.Errorf("%s", describe(st))
	}
}

// TestCrossTalk: descriptors and slots are used again and again while messages
// are under way to their earlier owners. Every byte is tagged by whom it is
// for, so that one that went astray would show.
func TestCrossTalk(t *testing.T) {
	s := start(t, tight(Config{EchoPath: "/echo", Loops: 2}))
	var wg sync.WaitGroup
	for k := range 8 {
		wg.Go(func() {
			for i := range 80 {
				tag := fmt.Sprintf("<%d.%d>", k, i)
				p := s.dialPath("/echo")
				n := 1 + (i*7+k)%9
				message := strings.Repeat(tag, 1+(i%5)*200)
				p.try(strings.Repeat(text(message), n))
				for range 1 + (i+k)%n { // and leave with the rest on its way
					if f, err := p.next(); err != nil || string(f.Payload) != message && !strings.HasPrefix(string(f.Payload), "all") {
						t.Errorf("%s got %.40q %v", tag, f.Payload, err)
						break
					}
				}
				if i%2 == 0 {
					p.reset()
				} else {
					p.Close()
				}
			}
		})
	}
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	for i := 0; ; i++ {
		select {
		case <-done:
			s.until("all are gone", func(st Stats) bool { return st.Clients.Connected == 0 })
			return
		default:
			s.publish(All(), fmt.Sprintf("all %d %s", i, strings.Repeat("-", i%3000)))
		}
	}
}
