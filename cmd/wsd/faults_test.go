package main

import (
	"testing"
	"time"

	"wsd/server"
)

// TestUpgradesWithFaults: system calls that are interrupted, say EAGAIN or move less
// than asked for are noticed by nobody, nor in the processes that take over.
func TestUpgradesWithFaults(t *testing.T) {
	l := found(t, faultyProgram(t), []string{faultVariable + "=calls:1:4"})
	c := gather(t, l.running, 50, 50*time.Millisecond, 10*time.Millisecond)
	for range 4 {
		c.more(20)
		before := l.pid
		l.succeed()
		until(t, "the old process ends", func() bool { return gone(before) })
	}
	c.more(20)
	c.check()
	l.settled(50)
	t.Log(c.totals())
}

// settled waits until only n clients are left, nothing is held for anybody else,
// and each client that ever came is counted once.
func (l *lineage) settled(n int) {
	l.t.Helper()
	var st server.Stats
	until(l.t, "nothing is left but the clients", func() bool {
		st = server.Stats{}
		l.stats(&st)
		closed := uint64(0)
		for _, k := range st.Closed {
			closed += k
		}
		return st.Clients.Connected == int64(n) && st.Clients.Open == int64(n) && st.PendingBytes == 0 && st.PublishesUnderWay == 0 &&
			st.Accepted == closed+uint64(n)
	})
	if q := st.Queue; q.Queued != q.Sent+q.Evicted+q.Coalesced+q.Expired+q.Lost {
		l.t.Errorf("the queue does not add up: %+v", q)
	}
}
