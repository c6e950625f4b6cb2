package server

import (
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestOneReadPerTurn: who sends much is read from once in a turn, as is everybody
// else, whether an event or an earlier turn says that there is more.
func TestOneReadPerTurn(t *testing.T) {
	s := start(t, Config{Loops: 1, EchoPath: "/echo", MaxMessage: 1 << 20, Listen: []string{"unix:" + filepath.Join(t.TempDir(), "s")}})
	p := s.dialPath("/echo")
	payload := strings.Repeat("x", 150_000)
	stream := text(payload)
	release, held, done := make(chan struct{}), make(chan struct{}), make(chan struct{})
	s.loops[0].post(func(l *loop) {
		close(held)
		<-release
		was, turns := l.count.n[nBytesIn], l.count.n[nTurns]
		var look func(*loop)
		look = func(l *loop) {
			grown := l.count.n[nBytesIn] - was
			if most := readSize * (l.count.n[nTurns] - turns); grown > most {
				t.Errorf("%d bytes are read in %d turns", grown, l.count.n[nTurns]-turns)
			}
			if grown < uint64(len(stream)) && !t.Failed() {
				l.post(look)
				return
			}
			close(done)
		}
		l.post(look)
	})
	<-held
	p.write(stream) // a socket of this kind holds all of it
	close(release)
	select {
	case <-done:
	case <-time.After(patience):
		t.Error("it is not read")
	}
	p.expect(payload)
}
