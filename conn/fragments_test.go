package conn

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/gobwas/ws"
)

// many is a message of 4 MiB in frames of 64 bytes and an empty one, as the
// Autobahn suite sends it (cases 9.3.1 and 9.4.1): 65,537 of them.
func many(op ws.OpCode, client bool) (stream, payload []byte) {
	payload = bytes.Repeat([]byte("0123456789abcdef"), 4<<20/16)
	for at := 0; at <= len(payload); at += 64 {
		piece := payload[at:min(at+64, len(payload))]
		first := op
		if at > 0 {
			first = ws.OpContinuation
		}
		if !client {
			stream = AppendMasked(stream, first, len(piece) == 0, piece, testMask)
			continue
		}
		stream = append(stream, byte(first), byte(len(piece)))
		if len(piece) == 0 {
			stream[len(stream)-2] |= bitFinal
		}
		stream = append(stream, piece...)
	}
	return stream, payload
}

// sizes notes what came.
type sizes struct {
	deaf
	got [][]byte
	op  ws.OpCode
}

func (s *sizes) Message(op ws.OpCode, payload, out []byte) ([]byte, error) {
	s.op, s.got = op, append(s.got, bytes.Clone(payload))
	return out, nil
}

// TestManyFragments: without a limit, a message of more frames than the count
// of them holds arrives; with the highest limit it is refused.
func TestManyFragments(t *testing.T) {
	for _, client := range []bool{true, false} {
		for _, op := range []ws.OpCode{ws.OpText, ws.OpBinary} {
			stream, payload := many(op, client)
			for most, whole := range map[int]bool{-1: true, 65535: false, 0: false} {
				p, sink := Protocol{Client: client, MaxMessage: 16 << 20, MaxFragments: most}, &sizes{}
				var s State
				var err error
				buf := make([]byte, 0, len(stream))
				for at := 0; at < len(stream) && err == nil; at += 64 << 10 {
					buf = append(buf, stream[at:min(at+64<<10, len(stream))]...)
					var rest []byte
					rest, _, err = p.Feed(&s, bytes.Clone(buf), nil, sink)
					buf = append(buf[:0], rest...)
				}
				if !whole {
					if err != errFragments || len(sink.got) > 0 {
						t.Errorf("client %v, op %v, at most %d: %v", client, op, most, err)
					}
					continue
				}
				if err != nil || len(sink.got) != 1 || sink.op != op || !bytes.Equal(sink.got[0], payload) {
					t.Errorf("client %v, op %v, at most %d: %d messages, %v", client, op, most, len(sink.got), err)
				}
			}
		}
	}
}

// BenchmarkFragments: what a fragment costs, of messages of more and more of them
// that come in reads of 64 KiB.
func BenchmarkFragments(b *testing.B) {
	for _, size := range []int{0, 64} {
		for _, n := range []int{1 << 10, 1 << 14, 1 << 18} {
			b.Run(fmt.Sprintf("%d_of_%d_bytes", n, size), func(b *testing.B) {
				piece := bytes.Repeat([]byte("x"), size)
				stream := AppendMasked(nil, ws.OpBinary, false, piece, testMask)
				for range n - 2 {
					stream = AppendMasked(stream, ws.OpContinuation, false, piece, testMask)
				}
				stream = AppendMasked(stream, ws.OpContinuation, true, piece, testMask)
				p, s := Protocol{MaxMessage: 1 << 30, MaxFragments: -1}, State{}
				buf := make([]byte, 0, len(stream)+64)
				for b.Loop() {
					buf = buf[:0]
					for at := 0; at < len(stream); at += 64 << 10 {
						buf = append(buf, stream[at:min(at+64<<10, len(stream))]...)
						rest, _, err := p.Feed(&s, buf, nil, deaf{})
						if err != nil {
							b.Fatal(err)
						}
						buf = buf[:copy(buf, rest)]
					}
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/fragment")
			})
		}
	}
}
