package main

import (
	"testing"
	"time"
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
