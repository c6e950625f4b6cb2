package server

import (
	"math"
	"time"

	"wsd/netpoll"
)

// All that has to pass is counted on the monotonic clock: in instants, and in a
// loop's ticks. The wall clock, which may be set at any time, is for people.

// started is when this process did, or near enough, and startedAt the same as an
// instant.
var started, startedAt = readClocks()

// readClocks reads two clocks at one moment: of some tries, that which took the
// least time.
func readClocks() (began time.Time, at int64) {
	width := time.Duration(math.MaxInt64)
	for range 8 {
		before := time.Now()
		mono, err := netpoll.Monotonic()
		took := time.Since(before)
		if err == nil && took < width {
			began, at, width = before.Add(took/2), mono, took
		}
	}
	if began.IsZero() { // there is no such clock
		began = time.Now()
	}
	return began, at
}

// instant is CLOCK_MONOTONIC in nanoseconds, which all processes of a host
// share. It takes as long as time.Since.
func instant() int64 { return startedAt + int64(time.Since(started)) }

// wallTime is an instant for people: by the wall clock as it was at started, so
// that what is told once is told again.
func wallTime(at int64) time.Time { return started.Add(time.Duration(at - startedAt)).Round(0) }

// instantAt is that of a time that was read from the clock in this process.
func instantAt(t time.Time) int64 { return startedAt + int64(t.Sub(started)) }

// instantOf is when t is, by what is left until then. It is never 0.
func instantOf(t time.Time) int64 {
	left := min(int64(time.Until(t)), math.MaxInt64/2)
	if at := instant() + left; at != 0 {
		return at
	}
	return 1
}

// before compares ticks, which wrap: 2^32 of them are 497 days with the finest
// tick. Both are at most half of that from each other.
func before(a, b uint32) bool { return int32(a-b) < 0 }

// longestPause bounds what a handover can have taken.
const longestPause = 10 * time.Minute

// handoverClock turns the times of an older process into ours.
type handoverClock struct {
	// wall: formats 1 and 2 have Unix nanoseconds; frozen is when that process
	// stood still. Later ones have what was left, or had passed, by then.
	wall   bool
	frozen int64
	at     int64 // the instant at which it stood still
}

// handoverClockOf is for the moment in which the first record is read.
func handoverClockOf(r *serverRecord) handoverClock {
	k := handoverClock{wall: r.wall, frozen: r.frozen, at: instant()}
	now := k.at
	if k.wall {
		now = time.Now().UnixNano()
	}
	if pause := now - r.frozen; pause > 0 && pause < int64(longestPause) { // else a clock was set, or is another host's
		k.at -= pause
	}
	return k
}

// since is the instant of what came as at, and has been.
func (k *handoverClock) since(at int64) int64 {
	if k.wall {
		at = max(k.frozen-at, 0)
	}
	return k.at - min(at, math.MaxInt64/2)
}

// deadline is the instant of one that came as at; 0 is none.
func (k *handoverClock) deadline(at int64) int64 {
	if at == 0 {
		return 0
	}
	if k.wall {
		at -= k.frozen
	}
	if at = k.at + min(at, math.MaxInt64/2); at == 0 {
		return 1
	}
	return at
}

// leftUntil is how a deadline goes along: what is left of it at now.
func leftUntil(deadline, now int64) int64 {
	switch {
	case deadline == 0:
		return 0
	case deadline == now:
		return -1
	}
	return deadline - now
}
