package conn

import (
	"encoding/binary"
	"slices"

	"github.com/gobwas/ws"
)

// Frame headers: 2 bytes, 4 or 10 with a longer length, 4 more with a mask.
const (
	bitFinal  = 0x80
	bitMasked = 0x80

	// reserve is what BeginFrame leaves for the header. 4 is right for
	// payloads of 126 to 65535 bytes; shorter ones move down by two bytes,
	// which costs next to nothing, and only longer ones move up.
	reserve = 4
)

// AppendFrame appends payload as one whole unmasked frame, as a server sends
// it.
func AppendFrame(out []byte, op ws.OpCode, payload []byte) []byte {
	out = AppendHeader(out, op, len(payload))
	return append(out, payload...)
}

// AppendHeader appends the header of a whole unmasked frame, whose n bytes of
// payload the caller sends behind it.
func AppendHeader(out []byte, op ws.OpCode, n int) []byte {
	return appendHeader(out, bitFinal|byte(op), 0, n)
}

// AppendMasked appends payload as one masked frame, as a client sends it. Only
// the copy in out is masked. fin is false for all but the last fragment of a
// message, op is ws.OpContinuation for all but the first.
func AppendMasked(out []byte, op ws.OpCode, fin bool, payload []byte, mask [4]byte) []byte {
	first := byte(op)
	if fin {
		first |= bitFinal
	}
	out = appendHeader(out, first, bitMasked, len(payload))
	out = append(out, mask[:]...)
	start := len(out)
	out = append(out, payload...)
	ws.Cipher(out[start:], mask, 0)
	return out
}

// Compile makes one unmasked frame that is sent many times. The slice has no
// spare capacity and is the caller's; it must not be changed once it is shared.
func Compile(op ws.OpCode, payload []byte) []byte {
	return AppendFrame(make([]byte, 0, headerSize(len(payload))+len(payload)), op, payload)
}

// Payload is what an unmasked frame that was made here carries.
func Payload(frame []byte) []byte {
	switch frame[1] {
	case 126:
		return frame[4:]
	case 127:
		return frame[10:]
	}
	return frame[2:]
}

// BeginFrame starts an unmasked frame whose payload the caller appends to
// newOut; EndFrame, given mark, completes it. In between nothing else may be
// appended.
func BeginFrame(out []byte) (newOut []byte, mark int) {
	return append(out, make([]byte, reserve)...), len(out)
}

// EndFrame makes everything behind mark's header the payload of one frame.
func EndFrame(out []byte, mark int, op ws.OpCode) []byte {
	payload := mark + reserve
	n := len(out) - payload
	size := headerSize(n)
	switch {
	case size < reserve:
		copy(out[mark+size:], out[payload:])
		out = out[:mark+size+n]
	case size > reserve:
		out = slices.Grow(out, size-reserve)[:mark+size+n]
		copy(out[mark+size:], out[payload:payload+n])
	}
	appendHeader(out[:mark], bitFinal|byte(op), 0, n)
	return out
}

func headerSize(n int) int {
	switch {
	case n < 126:
		return 2
	case n < 1<<16:
		return 4
	}
	return 10
}

// appendHeader appends a header without its mask, the length in its shortest
// form (RFC 6455, 5.2).
func appendHeader(out []byte, first, masked byte, n int) []byte {
	switch {
	case n < 126:
		return append(out, first, masked|byte(n))
	case n < 1<<16:
		return append(out, first, masked|126, byte(n>>8), byte(n))
	}
	out = append(out, first, masked|127)
	return binary.BigEndian.AppendUint64(out, uint64(n))
}
