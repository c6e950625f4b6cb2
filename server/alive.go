package server

import (
	"context"
	"fmt"
)

// Alive is nil if every loop of a started server does a turn before ctx is
// done, and so none hangs in what the application has run on it. Loops that
// have ended do not hang. It costs a wake-up of each loop.
func (s *Server) Alive(ctx context.Context) error {
	for i, l := range s.loops {
		if !s.on(ctx, l, func(*loop) {}) && ctx.Err() != nil {
			return fmt.Errorf("loop %d of %d does not answer: %w", i+1, len(s.loops), ctx.Err())
		}
	}
	return nil
}
