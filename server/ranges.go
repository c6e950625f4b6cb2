package server

import (
	"fmt"
	"math"
	"time"
)

// What the representations behind the settings can hold. A time-out is counted
// in ticks of 10 ms or more in 32 bits, a queue in 32 bits of bytes.
const (
	// mostBytes bounds a message, and what waits for one client.
	mostBytes = 1 << 30
	// longest bounds every time-out: six weeks.
	longest = 1000 * time.Hour
	// longestUser: the kernel counts it in milliseconds, in 31 bits.
	longestUser = math.MaxInt32 * time.Millisecond
	// mostFragments is what conn counts to.
	mostFragments = math.MaxUint16
	mostLoops     = 1024
	mostWorkers   = 1 << 20
)

// span is what a setting may be. off: less than 0 turns it off.
type span[T int | int64 | time.Duration] struct {
	flag        string
	value       T
	least, most T
	off         bool
}

func (s span[T]) check() error {
	switch {
	case s.off && s.value < 0:
		return nil
	case s.value < s.least:
		return fmt.Errorf("--%s %v: want at least %v", s.flag, s.value, s.least)
	case s.value > s.most:
		return fmt.Errorf("--%s %v: want at most %v", s.flag, s.value, s.most)
	}
	return nil
}

// checkRanges refuses numbers that could not be kept. Names are those of the
// flags.
func (c *Config) checkRanges() error {
	const most = math.MaxInt
	for _, s := range []span[int]{
		{"loops", c.Loops, 1, mostLoops, false},
		{"max-clients", c.MaxClients, 0, most, false},
		{"max-handshakes", c.MaxHandshakes, 1, most, false},
		{"handshake-rate", c.HandshakeRate, 0, most, false},
		{"max-per-address", c.MaxPerAddress, 0, most, false},
		{"max-header", c.MaxHeader, 256, 1 << 20, false},
		{"max-message", c.MaxMessage, 1, mostBytes, false},
		{"max-fragments", c.MaxFragments, 1, mostFragments, false},
		{"message-rate", c.MessageRate, 0, most, false},
		{"byte-rate", c.ByteRate, 0, most, false},
		{"pending-limit", c.PendingLimit, 1024, mostBytes, false},
		{"notsent-lowat", c.NotsentLowat, 0, mostBytes, true},
		{"workers", c.Workers, 1, mostWorkers, false},
	} {
		if err := s.check(); err != nil {
			return err
		}
	}
	if err := (span[int64]{"pending-total", c.PendingTotal, 1 << 20, math.MaxInt64 / 2, false}).check(); err != nil {
		return err
	}
	for _, s := range []span[time.Duration]{
		{"retry-after", c.RetryAfter, 0, longest, false},
		{"handshake-timeout", c.HandshakeTimeout, time.Millisecond, longest, false},
		{"first-message-timeout", c.FirstMessageTimeout, 0, longest, false},
		{"idle-timeout", c.IdleTimeout, time.Millisecond, longest, true},
		{"pong-timeout", c.PongTimeout, time.Millisecond, longest, false},
		{"close-timeout", c.CloseTimeout, time.Millisecond, longest, false},
		{"user-timeout", c.UserTimeout, time.Millisecond, longestUser, true},
		{"pending-age", c.PendingAge, time.Millisecond, longest, false},
		{"action-timeout", c.ActionTimeout, time.Millisecond, longest, false},
		{"drain-time", c.DrainTime, 0, longest, true},
	} {
		if err := s.check(); err != nil {
			return err
		}
	}
	return nil
}
