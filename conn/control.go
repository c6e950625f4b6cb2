package conn

import (
	"encoding/binary"
	"math/rand/v2"
	"unicode/utf8"

	"github.com/gobwas/ws"
)

// MaxReason is what a close frame has room for behind its code, in bytes.
const MaxReason = ws.MaxControlFramePayloadSize - 2

// Peers mostly leave in one of a few ways. These cost no allocation.
var (
	leftNormally = &CloseError{Code: ws.StatusNormalClosure, Remote: true}
	leftAway     = &CloseError{Code: ws.StatusGoingAway, Remote: true}
	leftSilently = &CloseError{Code: ws.StatusNoStatusRcvd, Remote: true}
)

// control handles a whole control frame (RFC 6455, 5.5).
func (f *feed) control(payload []byte) error {
	op, closing := f.h.OpCode, f.s.CloseSent()
	if closing && op != ws.OpClose {
		return nil
	}
	if f.h.Masked {
		ws.Cipher(payload, f.h.Mask, 0)
	}
	var pause error
	if !closing {
		switch err := f.sink.Control(op, payload); err {
		case nil:
		case ErrPause:
			pause = err
		default:
			f.s.put(flagReadDone, op == ws.OpClose)
			return f.close(err)
		}
	}
	switch op {
	case ws.OpPing:
		// A sink may have closed without an error: no frame follows a close.
		if !f.s.CloseSent() {
			f.out = f.p.appendControl(f.out, ws.OpPong, payload)
		}
	case ws.OpClose:
		return f.closed(payload)
	}
	return pause
}

// closed handles the payload of the peer's close frame (RFC 6455, 5.5.1, 7.4).
func (f *feed) closed(payload []byte) error {
	if len(payload) == 0 {
		f.s.put(flagReadDone, true)
		f.out = f.p.AppendClose(f.s, f.out, 0, "")
		return leftSilently
	}
	if len(payload) == 1 {
		return f.fail(errShortClose)
	}
	code, reason := ws.StatusCode(binary.BigEndian.Uint16(payload)), payload[2:]
	switch {
	case !ValidCloseCode(int(code)):
		return f.fail(errCloseCode)
	case !utf8.Valid(reason):
		return f.fail(errNotUTF8)
	}
	f.s.put(flagReadDone, true)
	f.out = f.p.AppendClose(f.s, f.out, code, "")
	switch {
	case len(reason) == 0 && code == ws.StatusNormalClosure:
		return leftNormally
	case len(reason) == 0 && code == ws.StatusGoingAway:
		return leftAway
	}
	return &CloseError{Code: code, Reason: string(reason), Remote: true}
}

// ValidCloseCode reports whether a close frame may carry the code, whoever sends
// it: those of RFC 6455, 7.4.1 that are meant for the wire, 1012 to 1014 from the
// IANA registry, and the ranges for libraries and applications.
func ValidCloseCode(code int) bool {
	return 1000 <= code && code <= 1003 || 1007 <= code && code <= 1014 || 3000 <= code && code <= 4999
}

// fail ends the connection because of what the peer sent: whatever follows
// cannot be trusted to be frames any more (RFC 6455, 7.1.7).
func (f *feed) fail(bad *CloseError) error {
	f.s.put(flagReadDone, true)
	f.out = f.p.AppendClose(f.s, f.out, bad.Code, bad.Reason)
	return bad
}

// close ends the connection because the sink returned err.
func (f *feed) close(err error) error {
	end, ok := err.(*CloseError)
	if !ok {
		end = errInternal
	}
	f.out = f.p.AppendClose(f.s, f.out, end.Code, end.Reason)
	return end
}

// AppendClose appends our close frame to out and notes that in s; if it was
// sent before, nothing is appended. Codes that must not be sent (0, 1005, 1006
// and 1015: RFC 6455, 7.4.1) make an empty close frame. The reason is cut to
// 123 bytes, between two runes; it has to be UTF-8.
//
// A leftover must be presented to Feed afterwards as before it.
func (p *Protocol) AppendClose(s *State, out []byte, code ws.StatusCode, reason string) []byte {
	if s.CloseSent() {
		return out
	}
	s.put(flagCloseSent, true)
	switch code {
	case 0, ws.StatusNoStatusRcvd, ws.StatusAbnormalClosure, ws.StatusTLSHandshake:
		return p.appendControl(out, ws.OpClose, nil)
	}
	var body [ws.MaxControlFramePayloadSize]byte
	binary.BigEndian.PutUint16(body[:], uint16(code))
	n := 2 + copy(body[2:], cutReason(reason))
	return p.appendControl(out, ws.OpClose, body[:n])
}

func cutReason(reason string) string {
	if len(reason) <= MaxReason {
		return reason
	}
	n := MaxReason
	for n > MaxReason-utf8.UTFMax && !utf8.RuneStart(reason[n]) {
		n--
	}
	return reason[:n]
}

// appendControl appends a control frame. A client's mask keeps middleboxes
// from being talked to (RFC 6455, 10.3); it has to be unpredictable to the
// author of the payload, which the runtime's generator is.
func (p *Protocol) appendControl(out []byte, op ws.OpCode, payload []byte) []byte {
	if !p.Client {
		return AppendFrame(out, op, payload)
	}
	var mask [4]byte
	binary.LittleEndian.PutUint32(mask[:], rand.Uint32())
	return AppendMasked(out, op, true, payload, mask)
}
