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
	// mostClients is what the kernel counts a process's descriptors to.
	mostClients = math.MaxInt32
	mostWorkers = 1 << 20
)

// span is what a setting may be. off: less than 0 turns it off.
type span[T int | int64 | time.Duration] struct {
	field       string
	value       T
	least, most T
	off         bool
}

func (s span[T]) check() error {
	switch {
	case s.off && s.value < 0:
		return nil
	case s.value < s.least:
		return &ConfigError{s.field, s.value, fmt.Sprintf("want at least %v", s.least)}
	case s.value > s.most:
		return &ConfigError{s.field, s.value, fmt.Sprintf("want at most %v", s.most)}
	}
	return nil
}

// checkRanges refuses numbers that could not be kept.
func (c *Config) checkRanges() error {
	const most = math.MaxInt
	for _, s := range []span[int]{
		{"Loops", c.Loops, 1, mostLoops, false},
		{"MaxClients", c.MaxClients, 0, mostClients, false},
		{"MaxHandshakes", c.MaxHandshakes, 1, most, false},
		{"HandshakeRate", c.HandshakeRate, 0, most, false},
		{"MaxPerAddress", c.MaxPerAddress, 0, most, false},
		{"MaxPerUser", c.MaxPerUser, 0, mostOfUser, false},
		{"MaxHeader", c.MaxHeader, 256, 1 << 20, false},
		{"MaxMessage", c.MaxMessage, 1, mostBytes, false},
		{"MaxFragments", c.MaxFragments, 1, mostFragments, true},
		{"MessageRate", c.MessageRate, 0, most, false},
		{"ByteRate", c.ByteRate, 0, most, false},
		{"PendingLimit", c.PendingLimit, 1024, mostBytes, false},
		{"NotsentLowat", c.NotsentLowat, 0, mostBytes, true},
		{"Workers", c.Workers, 1, mostWorkers, false},
	} {
		if err := s.check(); err != nil {
			return err
		}
	}
	if err := (span[int64]{"PendingTotal", c.PendingTotal, 1 << 20, math.MaxInt64 / 2, false}).check(); err != nil {
		return err
	}
	for _, s := range []span[time.Duration]{
		{"RetryAfter", c.RetryAfter, 0, longest, false},
		{"HandshakeTimeout", c.HandshakeTimeout, time.Millisecond, longest, false},
		{"FirstMessageTimeout", c.FirstMessageTimeout, 0, longest, false},
		{"AuthTimeout", c.AuthTimeout, time.Millisecond, longest, false},
		{"TokenLeeway", c.TokenLeeway, 0, longest, true},
		{"IdleTimeout", c.IdleTimeout, time.Millisecond, longest, true},
		{"MessageTimeout", c.MessageTimeout, time.Millisecond, longest, true},
		{"PongTimeout", c.PongTimeout, time.Millisecond, longest, false},
		{"CloseTimeout", c.CloseTimeout, time.Millisecond, longest, false},
		{"UserTimeout", c.UserTimeout, time.Millisecond, longestUser, true},
		{"PendingAge", c.PendingAge, time.Millisecond, longest, false},
		{"ActionTimeout", c.ActionTimeout, time.Millisecond, longest, false},
		{"DrainTime", c.DrainTime, 0, longest, true},
	} {
		if err := s.check(); err != nil {
			return err
		}
	}
	return nil
}
