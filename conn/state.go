package conn

import "errors"

// State is what one connection remembers between two reads: 16 bytes, no
// pointers. The zero value is a connection that was just opened. It belongs to
// whoever calls Feed; it is not safe for concurrent use.
type State struct {
	have  uint32  // bytes of the message in progress at the front of the leftover
	left  uint32  // payload bytes of the data frame in progress still to come
	mask  [4]byte // its mask, turned so that mask[0] is for the next byte
	frags uint16  // frames of the message in progress, including this one; 65535 and more are 65535
	flags flags
	tail  uint8 // of have, the last 0..3 bytes: a rune not whole yet
}

type flags uint8

const (
	flagText      flags = 1 << iota // the message in progress is text
	flagOpen                        // a fragment came, its message goes on in the next frame
	flagFinal                       // the data frame in progress is the message's last
	flagCloseSent                   // our close frame went out
	flagReadDone                    // nothing is read any more
	flagsKnown    = 1<<iota - 1
)

func (s *State) is(f flags) bool { return s.flags&f != 0 }

func (s *State) put(f flags, on bool) {
	s.flags &^= f
	if on {
		s.flags |= f
	}
}

// CloseSent reports whether a close frame of ours was appended to an out.
func (s *State) CloseSent() bool { return s.is(flagCloseSent) }

// ReadDone reports that nothing the peer sends will be read any more: its
// close frame came, or it broke the protocol. What is left to do is to write
// out what was appended and to close the descriptor.
func (s *State) ReadDone() bool { return s.is(flagReadDone) }

// InMessage reports whether a data frame or a fragmented message is in
// progress. A cut frame header or control frame does not count; the caller
// sees those as a leftover that is not empty.
func (s *State) InMessage() bool { return s.left > 0 || s.is(flagOpen) }

// Left is how many payload bytes of the data frame in progress are still to come,
// as its sender claims, and whether the message ends with them. It is 0 between
// frames.
func (s *State) Left() (n int, final bool) { return int(s.left), s.is(flagFinal) }

// Have is how many bytes at the front of the leftover are of the message in
// progress: a leftover that is shorter is another connection's.
func (s *State) Have() int { return int(s.have) }

// stateSize is the length of a written State.
const stateSize = 16

var errBadState = errors.New("conn: not the 16 bytes of a written State")

// AppendBinary appends the 16 bytes of s, the same on every machine, so that
// another process can go on with the connection: see [State.UnmarshalBinary].
// The leftover has to travel along. The error is always nil.
func (s *State) AppendBinary(b []byte) ([]byte, error) {
	b = appendUint32(b, s.have)
	b = appendUint32(b, s.left)
	b = append(b, s.mask[:]...)
	return append(b, byte(s.frags), byte(s.frags>>8), byte(s.flags), s.tail), nil
}

// MarshalBinary is AppendBinary to a new slice.
func (s *State) MarshalBinary() ([]byte, error) {
	return s.AppendBinary(make([]byte, 0, stateSize))
}

// UnmarshalBinary reads what AppendBinary wrote. On an error, which is a
// length or a field that no State can have, s is unchanged.
func (s *State) UnmarshalBinary(b []byte) error {
	if len(b) != stateSize {
		return errBadState
	}
	n := State{
		have:  uint32At(b, 0),
		left:  uint32At(b, 4),
		mask:  [4]byte(b[8:12]),
		frags: uint16(b[12]) | uint16(b[13])<<8,
		flags: flags(b[14]),
		tail:  b[15],
	}
	if !n.possible() {
		return errBadState
	}
	*s = n
	return nil
}

// possible reports whether Feed can have left s behind, as far as Feed relies
// on it.
func (s *State) possible() bool {
	switch {
	case s.flags&^flagsKnown != 0, uint64(s.have)+uint64(s.left) > mostMessage:
		return false
	case s.tail > 3, uint32(s.tail) > s.have, s.tail > 0 && !s.is(flagText):
		return false
	case s.ReadDone():
		return s.have == 0 && s.left == 0
	}
	return s.have == 0 || s.InMessage()
}

func appendUint32(b []byte, v uint32) []byte {
	return append(b, byte(v), byte(v>>8), byte(v>>16), byte(v>>24))
}

func uint32At(b []byte, i int) uint32 {
	return uint32(b[i]) | uint32(b[i+1])<<8 | uint32(b[i+2])<<16 | uint32(b[i+3])<<24
}
