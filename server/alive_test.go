package server

import (
	"context"
	"strings"
	"testing"
)

// A loop that hangs is found, one that went on is alive again, and an ended
// server does not hang.
func TestAlive(t *testing.T) {
	s := start(t, Config{})
	patient, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := s.Alive(patient); err != nil {
		t.Fatal(err)
	}
	release, held := make(chan struct{}), make(chan struct{})
	s.loops[1].post(func(*loop) { close(held); <-release })
	<-held
	short, cut := context.WithCancel(t.Context())
	defer cut()
	told := make(chan error, 1)
	go func() { told <- s.Alive(short) }()
	eventually(t, says("it is asked"), func() bool {
		s.loops[1].inbox.mu.Lock()
		defer s.loops[1].inbox.mu.Unlock()
		return len(s.loops[1].inbox.tasks) > 0
	})
	cut()
	if err := <-told; err == nil || !strings.Contains(err.Error(), "loop 2 of 2") {
		t.Errorf("with a loop that hangs: %v", err)
	}
	close(release)
	if err := s.Alive(patient); err != nil {
		t.Errorf("a loop that went on: %v", err)
	}
	s.stop()
	if err := s.Alive(patient); err != nil {
		t.Errorf("an ended server: %v", err)
	}
}
