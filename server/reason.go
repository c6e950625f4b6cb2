package server

import (
	"errors"

	"github.com/gobwas/ws"

	"wsd/conn"
)

// Reason is why a connection ended. Each has exactly one, and it is counted.
type Reason int

const (
	// ReasonNone: no end of its own; it was counted when it began.
	ReasonNone Reason = iota
	// ReasonPeer: the client sent a close frame.
	ReasonPeer
	// ReasonVanished: the client hung up without one.
	ReasonVanished
	// ReasonReset: the connection broke (reset, or nothing acknowledged for too long).
	ReasonReset
	// ReasonHandshake: the request was no handshake or not allowed.
	ReasonHandshake
	// ReasonHandshakeTimeout: the request did not come in time.
	ReasonHandshakeTimeout
	// ReasonProxyHeader: the PROXY header was missing, or could not be understood.
	ReasonProxyHeader
	// ReasonRefused: answered by 503, a limit was reached.
	ReasonRefused
	// ReasonProtocol, ReasonUTF8, ReasonTooBig: closed with 1002, 1007, 1009.
	ReasonProtocol
	ReasonUTF8
	ReasonTooBig
	// ReasonPolicy: too many fragments; ReasonRate: too many messages, bytes or control frames.
	ReasonPolicy
	ReasonRate
	// ReasonIdle: no answer to the ping; ReasonSilent: no first message in time.
	ReasonIdle
	ReasonSilent
	// ReasonUnfinished: the last byte of a message did not come in time.
	ReasonUnfinished
	// ReasonSlow: it did not take what was sent to it.
	ReasonSlow
	// ReasonMemory: of all clients it made the server hold the most, and that was
	// too much.
	ReasonMemory
	// ReasonShutdown: the server stops. ReasonAdmin: somebody asked for it.
	ReasonShutdown
	ReasonAdmin
	// ReasonUnauthorized: no token that is good, at the connect or in time.
	ReasonUnauthorized
	// ReasonExpired and ReasonRevoked: the token was good.
	ReasonExpired
	ReasonRevoked
	// ReasonUserLimit: a newer connection of the same user took its place.
	ReasonUserLimit
	// ReasonInternal: an error of ours.
	ReasonInternal
	reasons
)

var reasonNames = [reasons]string{
	ReasonNone:             "none",
	ReasonPeer:             "peer",
	ReasonVanished:         "vanished",
	ReasonReset:            "reset",
	ReasonHandshake:        "handshake",
	ReasonHandshakeTimeout: "handshake_timeout",
	ReasonProxyHeader:      "proxy_header",
	ReasonRefused:          "refused",
	ReasonProtocol:         "protocol",
	ReasonUTF8:             "utf8",
	ReasonTooBig:           "too_big",
	ReasonPolicy:           "policy",
	ReasonRate:             "rate",
	ReasonIdle:             "idle",
	ReasonSilent:           "silent",
	ReasonUnfinished:       "unfinished",
	ReasonSlow:             "slow",
	ReasonMemory:           "memory",
	ReasonShutdown:         "shutdown",
	ReasonAdmin:            "admin",
	ReasonUnauthorized:     "unauthorized",
	ReasonExpired:          "expired",
	ReasonRevoked:          "revoked",
	ReasonUserLimit:        "user_limit",
	ReasonInternal:         "internal",
}

func (r Reason) String() string { return reasonNames[r] }

// What Message and Control return when a client sends too much, or does not prove who
// it is: the protocol closes with it, and reasonOf knows it again.
var (
	errMessageRate = &conn.CloseError{Code: ws.StatusPolicyViolation, Reason: "too many messages per second"}
	errControlRate = &conn.CloseError{Code: ws.StatusPolicyViolation, Reason: "too many control frames per second"}
	errUnproven    = &conn.CloseError{Code: statusUnauthorized, Reason: "the token is no good"}
)

// reasonOf tells why the protocol closed.
func reasonOf(ce *conn.CloseError) Reason {
	if errors.Is(ce, errMessageRate) || errors.Is(ce, errControlRate) {
		return ReasonRate
	}
	if errors.Is(ce, errUnproven) {
		return ReasonUnauthorized
	}
	switch ce.Code {
	case ws.StatusProtocolError:
		return ReasonProtocol
	case ws.StatusInvalidFramePayloadData:
		return ReasonUTF8
	case ws.StatusMessageTooBig:
		return ReasonTooBig
	case ws.StatusPolicyViolation:
		return ReasonPolicy
	}
	return ReasonInternal
}
