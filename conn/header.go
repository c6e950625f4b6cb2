package conn

import (
	"encoding/binary"

	"github.com/gobwas/ws"
)

// The ways to break the protocol, each one shared value: failing a connection
// allocates nothing.
var (
	errReservedBits   = broken("reserved bits set")
	errReservedOpcode = broken("reserved opcode")
	errCutControl     = broken("fragmented control frame")
	errLongControl    = broken("control frame longer than 125 bytes")
	errNoStart        = broken("continuation of no message")
	errNotContinued   = broken("new message inside a fragmented one")
	errUnmasked       = broken("frame not masked")
	errMasked         = broken("frame masked")
	errLongForm       = broken("length not in its shortest form")
	errNegative       = broken("length over 63 bits")
	errShortClose     = broken("close frame of one byte")
	errCloseCode      = broken("close code not allowed")

	errNotUTF8   = &CloseError{Code: ws.StatusInvalidFramePayloadData, Reason: "text is not UTF-8"}
	errTooBig    = &CloseError{Code: ws.StatusMessageTooBig, Reason: "message too big"}
	errFragments = &CloseError{Code: ws.StatusPolicyViolation, Reason: "too many fragments"}
	errInternal  = &CloseError{Code: ws.StatusInternalServerError}
)

func broken(reason string) *CloseError {
	return &CloseError{Code: ws.StatusProtocolError, Reason: reason}
}

// parse reads one frame header (RFC 6455, 5.2) from the front of raw into f.h.
// n is its length, 0 when more bytes are needed. Each byte is judged as soon as
// it is there, and in stream order, so that neither the cut of the stream nor
// the sender's pace decides which rule is found broken.
func (f *feed) parse(raw []byte) (n int, bad *CloseError) {
	h := &f.h
	h.Fin = raw[0]&bitFinal != 0
	h.OpCode = ws.OpCode(raw[0] & 0x0f)
	if bad = f.checkFirst(raw[0]); bad != nil || len(raw) < 2 {
		return 0, bad
	}
	h.Masked = raw[1]&bitMasked != 0
	control := h.OpCode.IsControl()
	switch {
	case h.Masked == f.p.Client:
		return 0, maskError(f.p.Client)
	case control && raw[1]&0x7f > ws.MaxControlFramePayloadSize:
		return 0, errLongControl
	}
	if h.Length, n, bad = length(raw); n == 0 {
		return 0, bad
	}
	if !control && h.Length > int64(f.p.maxMessage()-(f.end-f.base)) {
		return 0, errTooBig
	}
	if !h.Masked {
		return n, nil
	}
	if len(raw) < n+4 {
		return 0, nil
	}
	h.Mask = [4]byte(raw[n:])
	return n + 4, nil
}

// checkFirst judges a frame by its first byte and by what came before it.
func (f *feed) checkFirst(b byte) *CloseError {
	switch op := f.h.OpCode; {
	case b&0x70 != 0:
		return errReservedBits
	case op.IsReserved():
		return errReservedOpcode
	case op.IsControl():
		if !f.h.Fin {
			return errCutControl
		}
	case op == ws.OpContinuation:
		if !f.s.is(flagOpen) {
			return errNoStart
		}
	case f.s.is(flagOpen):
		return errNotContinued
	}
	return nil
}

func maskError(client bool) *CloseError {
	if client {
		return errMasked
	}
	return errUnmasked
}

// length reads the payload length, in the shortest of its three forms. n is
// the length of the header up to its mask, 0 when more bytes are needed.
func length(raw []byte) (v int64, n int, bad *CloseError) {
	switch v := raw[1] & 0x7f; {
	case v < 126:
		return int64(v), 2, nil
	case v == 126:
		if len(raw) < 4 {
			return 0, 0, nil
		}
		long := binary.BigEndian.Uint16(raw[2:])
		if long < 126 {
			return 0, 0, errLongForm
		}
		return int64(long), 4, nil
	}
	if len(raw) < 10 {
		return 0, 0, nil
	}
	huge := binary.BigEndian.Uint64(raw[2:])
	switch {
	case huge>>63 != 0:
		return 0, 0, errNegative
	case huge < 1<<16:
		return 0, 0, errLongForm
	}
	return int64(huge), 10, nil
}
