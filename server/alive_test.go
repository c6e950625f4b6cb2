package server

import (
	"context"
	"strings"
	"testing"
	"time"
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
	release := make(chan struct{})
	s.loops[1].post(func(*loop) { <-release })
	short, cut := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cut()
	if err := s.Alive(short); err == nil || !strings.Contains(err.Error(), "loop 2 of 2") {
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
