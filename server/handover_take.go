package server

import (
	"context"
	"errors"
	"fmt"
	"io"

	"wsd/handoff"
)

// A live upgrade, as the newer process sees it:
//
//	e, err := server.Inherit(link, "v1.2.3")       // is the state one we can read? which listeners?
//	cfg.Inheritance = e
//	s, err := server.New(cfg)                      // with those listeners
//	err = s.TakeOver()                             // instead of Start
//	e.Close()                                      // the older process may end

// TakeOver is Start for a server that was made with an Inheritance: it takes the
// clients over and returns when it serves them. On an error it has touched no
// client's socket, and what it had been given is closed: the older process
// serves on.
func (s *Server) TakeOver() error {
	e := s.cfg.Inheritance
	e.drop()
	for _, l := range s.loops {
		l.running.Lock() // no turn before the word is given
	}
	err := s.receive(e)
	if err == nil {
		err = s.Start()
	}
	if err == nil {
		err = s.awaitCommit(e)
	}
	if err != nil {
		_ = e.link.say(handoff.MessageRefused, []byte(err.Error()), nil)
		s.abandon()
		return err
	}
	// From here on the older process will not touch a socket again, whatever
	// becomes of this one; and nothing below can fail.
	_ = e.link.say(handoff.MessageRunning, nil, nil) // if nobody hears it, nobody is left
	for _, l := range s.loops {
		l.post((*loop).beginPutOff)
		l.running.Unlock()
	}
	e.fault("running")
	return nil
}

// Close tells the older process that it is not needed any more: it may end. It
// is for after TakeOver, once whoever watches the process knows of this one.
func (e *Inheritance) Close() error {
	if e == nil {
		return nil
	}
	return e.link.Close()
}

// receive takes the state in.
func (s *Server) receive(e *Inheritance) error {
	if err := e.link.say(handoff.MessagePrepared, nil, nil); err != nil {
		return err
	}
	e.fault("prepared")
	t := &taker{s: s, watch: newRegistrar(s.loops)}
	err := t.takeAll(e)
	if failed := t.watch.wait(); err == nil {
		err = failed
	}
	closeAll(t.fds) // of clients that never came
	if err == nil {
		e.fault("restored")
	}
	return err
}

func (t *taker) takeAll(e *Inheritance) error {
	for !t.stream.Ended() {
		// The older process bounds how long this takes; but if it hangs, this
		// one shall not wait for ever.
		e.link.setTimeout(2 * startTimeout)
		body, fds, err := e.link.expectState()
		t.fds = append(t.fds, fds...)
		if err != nil {
			return err
		}
		if err := t.take(body); err != nil {
			return err
		}
	}
	return nil
}

func (k *Link) expectState() (body []byte, fds []int, err error) {
	what, body, fds, err := k.hear()
	switch {
	case errors.Is(err, io.EOF):
		return nil, nil, errors.New("the old process is gone before it had told all")
	case err == nil && what != handoff.MessageState:
		err = fmt.Errorf("waiting for the state: there came something else (%s)", what)
	}
	return body, fds, err
}

// awaitCommit says that all is in place and waits for the word. An older
// process that is gone without one had written all down and stood still, and
// nobody but us has its clients: that is as good as the word. It never goes on
// serving before this process is dead, or told so.
func (s *Server) awaitCommit(e *Inheritance) error {
	if err := e.link.say(handoff.MessageReady, handoff.AppendReady(nil, uint64(s.population.connected.Load())), nil); err != nil && !s.alone(e) {
		return err
	}
	e.fault("ready")
	what, _, fds, err := e.link.hear()
	closeAll(fds)
	switch {
	case errors.Is(err, io.EOF):
		s.log.Warn("the old process died in the handover: its clients are taken over as it left them")
	case err != nil:
		return err
	case what != handoff.MessageCommit:
		return fmt.Errorf("waiting for commit: there came something else (%s)", what)
	}
	e.fault("commit")
	return nil
}

// alone reports whether the other process is gone.
func (s *Server) alone(e *Inheritance) bool {
	_, _, fds, err := e.link.hear()
	closeAll(fds)
	return errors.Is(err, io.EOF)
}

// abandon gives back everything without touching a client's socket.
func (s *Server) abandon() {
	for _, l := range s.loops {
		l.detach()
		l.running.Unlock()
	}
	_ = s.cfg.Inheritance.link.Close()
	_ = s.Stop(context.Background(), false)
}
