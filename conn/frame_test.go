package conn

import (
	"bytes"
	"testing"

	"github.com/gobwas/ws"
)

var frameLengths = []int{0, 1, 3, 125, 126, 127, 1000, 65535, 65536, 65537, 200000}

func payloadOf(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i * 7)
	}
	return b
}

// All ways to build a frame agree with gobwas's.
func TestFrames(t *testing.T) {
	for _, n := range frameLengths {
		payload := payloadOf(n)
		want := ws.MustCompileFrame(ws.NewBinaryFrame(payload))
		if got := AppendFrame([]byte("x"), ws.OpBinary, payload); !bytes.Equal(got[1:], want) {
			t.Errorf("AppendFrame of %d bytes: %x", n, clip(got))
		}
		compiled := Compile(ws.OpBinary, payload)
		if !bytes.Equal(compiled, want) || cap(compiled) != len(compiled) {
			t.Errorf("Compile of %d bytes: %d bytes, room for %d", n, len(compiled), cap(compiled))
		}
		out, mark := BeginFrame([]byte("before"))
		out = append(out, payload...)
		out = EndFrame(out, mark, ws.OpBinary)
		if string(out[:6]) != "before" || !bytes.Equal(out[6:], want) {
			t.Errorf("BeginFrame and EndFrame of %d bytes: %x", n, clip(out))
		}
		for _, fin := range []bool{true, false} {
			f := ws.NewFrame(ws.OpText, fin, payload)
			want := ws.MustCompileFrame(ws.MaskFrameWith(f, testMask))
			got := AppendMasked([]byte("x"), ws.OpText, fin, payload, testMask)
			if !bytes.Equal(got[1:], want) || !bytes.Equal(payload, payloadOf(n)) {
				t.Errorf("AppendMasked of %d bytes: %x", n, clip(got))
			}
		}
	}
}

// Frames built one behind the other leave each other alone.
func TestFramesInARow(t *testing.T) {
	var out, want []byte
	for _, n := range frameLengths {
		var mark int
		out, mark = BeginFrame(out)
		out = append(out, payloadOf(n)...)
		out = EndFrame(out, mark, ws.OpText)
		want = AppendFrame(want, ws.OpText, payloadOf(n))
	}
	if !bytes.Equal(out, want) {
		t.Error("frames begun and ended in a row are not those appended in a row")
	}
}
