package server

import (
	"errors"
	"fmt"
	"time"
)

// Ready is nil if new clients are welcome, or says why they are not.
func (s *Server) Ready() error {
	switch at, shed := s.keptOut.Load(), s.lastShed.Load(); {
	case !s.started.Load():
		return errors.New("starting")
	case s.draining.Load():
		return errors.New("draining")
	case int(s.population.clients()) >= s.limits.MaxClients:
		return fmt.Errorf("full: %d clients", s.limits.MaxClients)
	case s.backingOff.Load():
		return errors.New("newcomers are not accepted: descriptors or kernel memory are used up")
	case at != 0 && s.age()-at < int64(keptOutFor):
		return fmt.Errorf("newcomers are refused: %d handshakes are under way (max-handshakes)", s.cfg.MaxHandshakes)
	case s.memory.over(), shed != 0 && s.age()-shed < int64(shedFor):
		return fmt.Errorf("out of memory for clients: they make the server hold %d bytes, and may %d (pending-total)", s.memory.held.Load(), s.memory.limit.Load())
	}
	return nil
}

// keptOutFor is how long the server is not ready after it refused a newcomer
// because of MaxHandshakes. It is ready at once when the next one is let in: a
// flood that is turned away must not keep others from being sent here.
const keptOutFor = 2 * time.Second

// shedFor is how long the server is not ready after a client had to go for want of
// memory.
const shedFor = 2 * time.Second

// age is in nanoseconds of the monotonic clock, and not 0.
func (s *Server) age() int64 { return max(int64(time.Since(s.made)), 1) }

// keepOut notes that a newcomer was refused for a limit.
func (s *Server) keepOut(limit int) {
	if limit == refusedHandshakes {
		s.keptOut.Store(s.age())
	}
}

// letIn notes that one was not.
func (s *Server) letIn() {
	if s.keptOut.Load() != 0 {
		s.keptOut.Store(0)
	}
}
