package admin

import (
	"bytes"
	"runtime"
	"testing"
	"time"
)

// until polls for a condition.
func until(t *testing.T, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("waited in vain")
		}
	}
}

// blocked counts the goroutines that are blocked in a function of this package.
// reason is what the runtime says that they wait for. What they are there to do
// cannot happen until somebody lets them go on.
func blocked(reason, function string) (n int) {
	stacks := make([]byte, 4<<20)
	stacks = stacks[:runtime.Stack(stacks, true)]
	for goroutine := range bytes.SplitSeq(stacks, []byte("\n\n")) {
		head, frames, _ := bytes.Cut(goroutine, []byte("\n"))
		if bytes.Contains(head, []byte("["+reason)) && bytes.Contains(frames, []byte("wsd/admin."+function+"(")) {
			n++
		}
	}
	return n
}

// atTheTurnstile counts the requests that wait there.
func atTheTurnstile() int { return blocked("select", "(*turnstile).enter") }
