package conn

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/gobwas/ws"
)

const heartbeat = `{"actioncode":"heart_beat","data":null,"seq":12345678}`

// echo answers every message with itself.
type echo struct{}

func (echo) Message(op ws.OpCode, payload, out []byte) ([]byte, error) {
	return AppendFrame(out, op, payload), nil
}

func (echo) Control(ws.OpCode, []byte) error { return nil }

// deaf takes every message and does nothing: what remains is Feed.
type deaf struct{ echo }

func (deaf) Message(_ ws.OpCode, _, out []byte) ([]byte, error) { return out, nil }

// benchFeed reads stream in pieces. Feed unmasks in place, so each round needs
// a fresh copy, which "copy" alone measures.
func benchFeed(b *testing.B, stream []byte, piece int, sink Sink) {
	p := Protocol{MaxMessage: 1 << 20}
	in, buf, out := make([]byte, len(stream)), make([]byte, 0, len(stream)+64), make([]byte, 0, 2*len(stream)+64)
	b.SetBytes(int64(len(stream)))
	b.ReportAllocs()
	var s State
	for b.Loop() {
		var err error
		if piece == 0 {
			copy(in, stream)
			if _, out, err = p.Feed(&s, in, out[:0], sink); err != nil {
				b.Fatal(err)
			}
			continue
		}
		buf = buf[:0]
		for at := 0; at < len(stream); at += piece {
			buf = append(buf, stream[at:min(at+piece, len(stream))]...)
			rest, _, err := p.Feed(&s, buf, out[:0], sink)
			if err != nil {
				b.Fatal(err)
			}
			if len(rest) > 0 && &rest[0] == &buf[0] {
				buf = buf[:len(rest)]
			} else {
				buf = buf[:copy(buf[:cap(buf)], rest)]
			}
		}
	}
}

func BenchmarkFeed(b *testing.B) {
	one := text(heartbeat)
	kib, long := strings.Repeat("x", 1<<10), strings.Repeat("x", 64<<10)
	for _, c := range []struct {
		name   string
		stream []byte
		piece  int
	}{
		{"heartbeat", one, 0},
		{"16_heartbeats", bytes.Repeat(one, 16), 0},
		{"1KiB_text", text(kib), 0},
		{"1KiB_binary", blob(kib), 0},
		{"64KiB_text", text(long), 0},
		{"64KiB_text_by_1460", text(long), 1460},
		{"64KiB_text_by_1", text(long), 1},
		{"64KiB_in_64_fragments", cut(ws.OpText, strings.Split(strings.Repeat(kib+"|", 63)+kib, "|")...), 0},
		{"ping", ping(""), 0},
	} {
		b.Run(c.name, func(b *testing.B) { benchFeed(b, c.stream, c.piece, deaf{}) })
	}
	b.Run("copy_of_1KiB", func(b *testing.B) {
		in := make([]byte, 1<<10)
		for b.Loop() {
			copy(in, kib)
		}
	})
}

func BenchmarkEcho(b *testing.B) {
	for _, n := range []int{64, 1 << 10, 64 << 10} {
		b.Run(fmt.Sprint(n), func(b *testing.B) { benchFeed(b, text(strings.Repeat("x", n)), 0, echo{}) })
	}
}

// BenchmarkUpgrade compares with gobwas's Upgrader, which checks less: the
// comment on Upgrader says why it is not behind ours.
func BenchmarkUpgrade(b *testing.B) {
	in := request("GET /ws HTTP/1.1", "Host: localhost:8066", "Connection: keep-alive, Upgrade", "Pragma: no-cache",
		"User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", "Origin: http://localhost:8066",
		"Accept-Language: de,en-US;q=0.7,en;q=0.3", "Sec-WebSocket-Extensions: permessage-deflate")
	b.Run("ours", func(b *testing.B) {
		u, r, out := Upgrader{Route: onlyWS}, Request{}, make([]byte, 0, 512)
		b.ReportAllocs()
		for b.Loop() {
			if _, _, err := u.Upgrade(in, out, &r); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("gobwas", func(b *testing.B) {
		u, m := ws.Upgrader{OnRequest: func([]byte) error { return nil }}, memory{Reader: bytes.NewReader(in)}
		b.ReportAllocs()
		for b.Loop() {
			m.Reset(in)
			m.written.Reset()
			if _, err := u.Upgrade(&m); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkFrame(b *testing.B) {
	out := make([]byte, 0, 4096)
	for _, n := range []int{60, 1000} {
		payload := payloadOf(n)
		b.Run(fmt.Sprintf("append_%d", n), func(b *testing.B) {
			for b.Loop() {
				AppendFrame(out, ws.OpText, payload)
			}
		})
		b.Run(fmt.Sprintf("begin_end_%d", n), func(b *testing.B) {
			for b.Loop() {
				o, mark := BeginFrame(out)
				EndFrame(append(o, payload...), mark, ws.OpText)
			}
		})
		b.Run(fmt.Sprintf("masked_%d", n), func(b *testing.B) {
			for b.Loop() {
				AppendMasked(out, ws.OpText, true, payload, testMask)
			}
		})
	}
}
