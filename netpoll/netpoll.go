// Package netpoll is wsd's door to the kernel: epoll over raw descriptors,
// raw listeners, socket options and wake-up. No other package of wsd makes
// system calls on sockets.
//
// A descriptor here is a plain int, never a net.Conn: one descriptor per
// client, known to one epoll instance only (the Go runtime's own poller never
// hears of it, so nothing is registered twice and nothing is duplicated).
// EINTR ends inside this package; EAGAIN is returned as [EAGAIN] and is not an
// error but the kernel's "not now".
//
// The package works on Linux. Elsewhere it builds, and everything that would
// need the kernel returns [ErrUnsupported].
package netpoll

import (
	"errors"
	"syscall"
	"time"
)

// ErrUnsupported is what every constructor returns on anything but Linux.
var ErrUnsupported = errors.New("netpoll: wsd needs Linux (epoll, accept4, eventfd)")

// EAGAIN says that the kernel has nothing to give or no room to take right
// now. The poller reports when that changes.
const EAGAIN = syscall.EAGAIN

// Token is the 64 bits that the kernel keeps with a registration and hands
// back with each event: the owner's slot for the client, and a generation that
// tells the client from an earlier one in the same slot.
type Token uint64

// MakeToken packs a slot and its generation.
func MakeToken(slot, generation uint32) Token {
	return Token(generation)<<32 | Token(slot)
}

// Slot is the number of the owner's record.
func (t Token) Slot() uint32 { return uint32(t) }

// Generation is the generation the record had at registration. An event whose
// generation is not the record's present one is stale and must be dropped.
func (t Token) Generation() uint32 { return uint32(t >> 32) }

// These mark the poller's own descriptors: its wake-up, and its timers.
const (
	wakeToken = ^Token(0)
	tickToken = wakeToken - 1
	holdToken = wakeToken - 2
)

// Options are the socket options of a listener; accepted sockets inherit them,
// which saves a system call per option and client.
type Options struct {
	// UserTimeout (TCP_USER_TIMEOUT) is how long sent data may stay
	// unacknowledged before the kernel gives the peer up. 0 leaves the
	// kernel's own limit, about 15 minutes.
	UserTimeout time.Duration
	// NotsentLowat (TCP_NOTSENT_LOWAT) bounds the bytes that wait unsent in
	// the kernel, so that a slow client is noticed early. 0 leaves it unbounded.
	NotsentLowat int
	// ReusePort (SO_REUSEPORT) lets several listeners share one address.
	ReusePort bool
}
