package server

import (
	"reflect"
	"testing"
)

// Whoever gives a client, or what hangs on it, something new to remember has to
// say here whether it goes along in a handover, and see to it that it does.
func TestEveryFieldIsConsidered(t *testing.T) {
	const (
		goes    = "is written down"
		follows = "follows from the rest, or is about the process"
	)
	for _, c := range []struct {
		of     reflect.Type
		fields map[string]string
	}{
		{reflect.TypeFor[client](), map[string]string{
			"id": goes, "addr": goes, "since": goes, "proto": goes, "fd": goes, "generation": follows, "stamp": goes, "pinged": follows,
			"next": follows, "prev": follows, "extra": goes, "head": goes, "tail": follows, "pending": follows,
			"messages": goes, "bytes": goes, "controls": goes, "refilled": goes, "port": goes, "flags": goes, "state": goes, "due": follows,
		}},
		{reflect.TypeFor[extra](), map[string]string{"leftover": goes, "done": follows, "waiting": goes, "call": "is over by then", "reach": "is over by then", "check": "begins anew", "free": follows,
			"taken": "is about the loop's own pauses", "began": goes, "unfinished": goes, "slot": follows, "before": follows, "after": follows, "since": follows, "weight": follows, "beyond": follows}},
		{reflect.TypeFor[ident](), map[string]string{"token": goes, "user": goes, "next": follows, "prev": follows, "grants": goes, "expires": goes, "issued": goes}},
		{reflect.TypeFor[node](), map[string]string{"data": goes, "from": goes, "next": follows, "prev": follows, "since": goes, "drop": goes, "array": follows}},
	} {
		for i := range c.of.NumField() {
			if name := c.of.Field(i).Name; c.fields[name] == "" {
				t.Errorf("%s.%s: does it go along in a handover? (handover_write.go, handover_restore.go)", c.of.Name(), name)
			}
		}
	}
	wired := flags(0)
	for _, f := range wiredFlags {
		wired |= f.flag
	}
	for _, f := range proxyFlags {
		wired |= f.flag
	}
	// An end of the stream, too, is told again by the epoll of the new process.
	followed := flagReadable | flagEnded | flagAgain | flagWriting | flagStuck | flagCounted | flagSubscribed | flagHungUp | flagKnown | flagUnproven
	if all := flagUnproven<<1 - 1; wired|followed != all || wired&followed != 0 {
		t.Errorf("flags %b go along, %b follow, and there are %b", wired, followed, all)
	}
}
