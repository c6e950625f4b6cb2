package conn

import (
	"bytes"
	"io"
	"testing"

	"github.com/gobwas/ws"
)

// unmasked turns what a client sends into what a server would: the plain
// reader of the tests has no masks of its own.
func unmasked(t *testing.T, stream []byte) (out []byte) {
	t.Helper()
	for r := bytes.NewReader(stream); r.Len() > 0; {
		h, err := ws.ReadHeader(r)
		if err != nil || !h.Masked || h.Length > int64(r.Len()) {
			t.Fatalf("a client sent %x: masked %v, error %v", stream, h.Masked, err)
		}
		payload := stream[len(stream)-r.Len():][:h.Length]
		ws.Cipher(payload, h.Mask, 0)
		out = AppendFrame(out, h.OpCode, payload)
		r.Seek(h.Length, io.SeekCurrent)
	}
	return out
}

// The client reads the same streams, without masks, and masks its answers.
func TestClientRole(t *testing.T) {
	p := Protocol{Client: true}
	for _, c := range streams {
		if c.name == "unmasked" {
			continue
		}
		stream := bare(c.stream)
		want := runTwin(p, stream)
		for _, piece := range []int{1, 2, 5, 1 << 20} {
			got := feedCut(t, p, stream, constant(piece))
			if len(got.events) != len(want.events) || got.err != want.err || got.done != want.done {
				t.Errorf("%s in pieces of %d:\n got %+v\nwant %+v", c.name, piece, got, want)
			}
		}
	}
	got := feedCut(t, p, join(bare(ping("payload")), bare(closing(1001, "x"))), constant(1000))
	if want := "\x8a\x07payload\x88\x02\x03\xe9"; string(unmasked(t, []byte(got.out))) != want {
		t.Errorf("pong and close unmasked are %q, want %q", unmasked(t, []byte(got.out)), want)
	}
	if got = feedCut(t, p, text("x"), constant(1)); got.err != `closing: 1002 "frame masked"` {
		t.Errorf("masked frame: %q", got.err)
	}
}

// bare takes the masks off a stream of frames, as far as it is whole frames.
func bare(stream []byte) (out []byte) {
	for len(stream) >= 6 {
		n, size := int(stream[1]&127), 2
		switch n {
		case 126:
			n, size = int(stream[2])<<8|int(stream[3]), 4
		case 127:
			return append(append(out, stream[0], 127), stream[2:]...)
		}
		if len(stream) < size+4 {
			break
		}
		out = append(append(out, stream[0], stream[1]&127), stream[2:size]...)
		mask := [4]byte(stream[size:])
		stream = stream[size+4:]
		n = min(n, len(stream))
		payload := append([]byte{}, stream[:n]...)
		ws.Cipher(payload, mask, 0)
		out, stream = append(out, payload...), stream[n:]
	}
	for i, b := range stream {
		if i == 1 {
			b &= 127
		}
		out = append(out, b)
	}
	return out
}
