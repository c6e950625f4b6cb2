//go:build !race

package main

import (
	"syscall"
	"testing"
)

// TestStormLarge: with as many clients as one process may have.
func TestStormLarge(t *testing.T) {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	n := min(19_000, int(limit.Max)*15/16) // what the two programs keep for themselves
	s := newStorm(t, serve(t, stormFlags("drop-new")...), n)
	s.blow(1, 12)
	s.reckon("drop-new")
}
