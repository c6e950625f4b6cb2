package server

import (
	"math"
	"time"

	"wsd/handoff"
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

// handoverClock turns the times of an older process, which are what was left and
// what had passed when it stood still, into instants.
type handoverClock struct {
	at int64 // the instant at which it stood still
}

// handoverClockOf is for the moment in which the first record is read.
func handoverClockOf(r *handoff.Server) handoverClock {
	k := handoverClock{at: instant()}
	now := k.at
	if r.Wall {
		now = time.Now().UnixNano()
	}
	if pause := now - r.Frozen; pause > 0 && pause < int64(longestPause) { // else a clock was set, or is another host's
		k.at -= pause
	}
	return k
}

// since is the instant of what had been for so long.
func (k *handoverClock) since(age int64) int64 { return k.at - min(age, math.MaxInt64/2) }

// deadline is the instant of one of which so much was left; 0 is none.
func (k *handoverClock) deadline(left int64) int64 {
	if left == 0 {
		return 0
	}
	if at := k.at + max(min(left, math.MaxInt64/2), math.MinInt64/2); at != 0 {
		return at
	}
	return 1
}
