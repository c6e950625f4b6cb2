package server

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/gobwas/ws"
)

// ErrBlocked is returned by Stop if a loop does not end, because an inline
// handler, or whatever else the application runs on it, does not return.
var ErrBlocked = errors.New("a loop is blocked by what the application runs on it")

// endTimeout is how long Stop waits beyond its context for loops to end, whose
// clients it has cut off. It is a variable for the tests.
var endTimeout = 2 * time.Second

// Stop ends the server gracefully. It stops accepting, Ready turns false, and
// every client gets a close frame, spread over Config.DrainTime: code 1001, or
// 1012 if the server is restarting. Stop returns nil when the last one is gone,
// or when ctx is done, with ctx's error; whoever is left then is cut off.
//
// A loop that has not ended two seconds after ctx adds ErrBlocked to the error.
// It ends when what blocks it returns; only then is all given back that the
// server holds.
//
// A second Stop waits for the first, or for its own ctx, and returns nil, or
// that one's error.
func (s *Server) Stop(ctx context.Context, restarting bool) error {
	if !s.stopping.CompareAndSwap(false, true) {
		select {
		case <-s.stopped:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	defer close(s.stopped)
	s.draining.Store(true)
	if s.started.CompareAndSwap(false, true) { // it never was, nor will be
		s.discard()
		s.release()
		return nil
	}
	err := s.drainLoops(ctx, restarting)
	s.cancel()
	if end := s.endLoops(ctx); end != nil {
		go func() {
			<-s.ended
			s.release()
		}()
		return errors.Join(err, end)
	}
	s.release()
	return err
}

// drainLoops returns when the last client is gone, or ctx is done.
func (s *Server) drainLoops(ctx context.Context, restarting bool) error {
	code, text := ws.StatusGoingAway, "the server is shutting down"
	if restarting {
		code, text = ws.StatusCode(1012), "the server is restarting"
	}
	for _, l := range s.loops {
		l.post(func(l *loop) { l.beginDrain(code, text) })
	}
	// First the accept queues are swept, and the loops know whom the sweep found.
	// Only then does "no client" mean that none will come.
	select {
	case <-s.swept:
	case <-s.ended:
	case <-ctx.Done():
		return ctx.Err()
	}
	for _, l := range s.loops {
		s.on(ctx, l, func(*loop) {})
	}
	for s.population.connected.Load() > 0 {
		select {
		case <-s.population.empty:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// endLoops ends the loops, whoever is left in them.
func (s *Server) endLoops(ctx context.Context) error {
	for _, l := range s.loops {
		l.post((*loop).end)
	}
	select {
	case <-s.ended:
		return nil
	case <-ctx.Done():
	}
	late := time.NewTimer(endTimeout)
	defer late.Stop()
	select {
	case <-s.ended:
		return nil
	case <-late.C:
		return s.blocked()
	}
}

// blocked names the first loop that has not ended.
func (s *Server) blocked() error {
	for i, l := range s.loops {
		l.inbox.mu.Lock()
		closed := l.inbox.closed
		l.inbox.mu.Unlock()
		if !closed {
			return fmt.Errorf("%w: loop %d of %d", ErrBlocked, i+1, len(s.loops))
		}
	}
	return ErrBlocked // it was, a moment ago
}

// discard gives back the loops of a server that never started.
func (s *Server) discard() {
	s.started.Store(true)
	for _, l := range s.loops {
		if s.cfg.Inheritance != nil {
			l.detach() // the older process's, which goes on with it
		}
		l.shut()
		_ = l.poll.Close()
	}
	close(s.ended)
}

// release gives back what else New took.
func (s *Server) release() {
	s.cancel()
	if s.watcher != nil {
		_ = s.watcher.Close()
	}
	if s.runners != nil {
		s.runners.Release()
	}
	if s.workers != nil {
		s.workers.Release()
	}
}
