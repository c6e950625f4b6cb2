package server

import (
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"

	"wsd/dispatch"
)

// processorTime is that of the process so far: beside others it tells more than a clock.
func processorTime() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkNewcomer is what a handshake takes more if it brings a token that is
// remembered, beside the look into what remembers it (cmd/wsd has that): the token is
// found, and the client is entered, and goes again.
func BenchmarkNewcomer(b *testing.B) {
	m := dispatch.NewMux()
	dispatch.Builtins(m)
	dispatch.Auth(m)
	who := &Identity{Subject: uuid.NewString(), TokenID: uuid.NewString(), Issued: time.Now(), Expires: time.Unix(2_000_000_000, 0)}
	m.Authenticate = func(*dispatch.Context, []byte) (any, error) { return who, nil }
	m.Recall = func([]byte) (any, bool, error) { return who, true, nil }
	token := make([]byte, 300)
	for i := range token {
		token[i] = 'x'
	}
	handshake := []byte(request("/ws", bearer(string(token))))
	for _, mode := range []AuthMode{AuthOff, AuthRequired} {
		b.Run(string(mode), func(b *testing.B) {
			s := newSite(b, Config{Loops: 1, Listen: []string{"none"}, Auth: mode, Mux: m})
			defer s.stop()
			l := s.loops[0]
			slot, c := l.clients.alloc()
			b.ReportAllocs()
			began := processorTime()
			for b.Loop() {
				if _, _, err := s.upgrader.Upgrade(handshake, l.out[:0], &l.req); err != nil {
					b.Fatal(err)
				}
				if s.auth.on {
					who, wait, err := l.identify(slot, c, handshake)
					if got, refused := l.settle(slot, c, who, err); wait || got != letIn || refused != nil {
						b.Fatal(wait, refused)
					}
					l.disown(slot, c)
				}
			}
			b.ReportMetric(float64(processorTime()-began)/float64(b.N), "cpu-ns/op")
		})
	}
}
