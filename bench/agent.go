package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"time"
)

// aliveWithin is how long either side of an agent's run may hear nothing of the
// other, which says something every probeEvery, until it takes it for lost.
const (
	aliveWithin = 10 * time.Second
	probeEvery  = time.Second
)

// ServeRun is an agent's side of one run: it starts the workers that the
// coordinator at the other end of conn asks for and passes on what both have to
// say. It returns when the run is over and no worker is left: nil if the
// coordinator has ended it, otherwise why it ended. It closes conn. Worker makes
// the command of a worker process, which must run Work.
func ServeRun(ctx context.Context, conn io.ReadWriteCloser, worker func() (*exec.Cmd, error)) error {
	clk, err := newClock()
	if err != nil {
		return errors.Join(err, conn.Close())
	}
	s := &served{conn: conn, enc: json.NewEncoder(conn), clock: clk, command: worker}
	err = s.run(ctx)
	if err != nil {
		s.send(fromAgent{Bye: err.Error()})
	}
	s.end()
	return errors.Join(err, conn.Close())
}

// served is a run, as its agent sees it.
type served struct {
	conn    io.ReadWriteCloser
	clock   clock
	command func() (*exec.Cmd, error)
	workers []*remoteWorker // of run's goroutine

	mu  sync.Mutex
	enc *json.Encoder
}

func (s *served) send(m fromAgent) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.enc.Encode(m) // a coordinator that is gone is noticed by its silence
}

// run obeys until the coordinator says that it is over, or is lost.
func (s *served) run(ctx context.Context) error {
	messages, failed := make(chan toAgent), make(chan error, 1)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() {
		dec := json.NewDecoder(s.conn)
		for {
			var m toAgent
			if err := dec.Decode(&m); err != nil {
				failed <- err
				return
			}
			if m.Probe != nil { // at once, for its time
				s.send(fromAgent{Probe: &probe{Sent: m.Probe.Sent, At: s.clock.now()}})
			}
			select {
			case messages <- m:
			case <-ctx.Done():
				return
			}
		}
	}()
	silence := time.NewTimer(aliveWithin)
	defer silence.Stop()
	for {
		select {
		case m := <-messages:
			silence.Reset(aliveWithin)
			if m.Quit {
				return nil
			}
			if err := s.obey(&m); err != nil {
				return err
			}
		case err := <-failed:
			return fmt.Errorf("the coordinator is gone: %w", err)
		case <-silence.C:
			return fmt.Errorf("the coordinator has said nothing for %s", aliveWithin)
		case <-ctx.Done():
			return errors.New("the agent was told to stop")
		}
	}
}

func (s *served) obey(m *toAgent) error {
	switch {
	case m.Check != nil:
		s.send(fromAgent{Checked: checkHost(m.Check)})
	case m.Command != nil:
		if m.Worker < 0 || m.Worker >= len(s.workers) {
			return fmt.Errorf("the coordinator talks to worker %d of %d", m.Worker, len(s.workers))
		}
		s.workers[m.Worker].post(*m.Command)
	case len(m.Start) > 0 && len(s.workers) == 0:
		return s.start(m.Start)
	}
	return nil
}

func (s *served) start(parts []Part) error {
	for i, part := range parts {
		cmd, err := s.command()
		if err != nil {
			return err
		}
		w, err := startRemote(cmd, part, func(ev event) { s.send(fromAgent{Worker: i, Event: &ev}) })
		if w != nil {
			s.workers = append(s.workers, w)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// end ends the workers: those that do not do it themselves, by force.
func (s *served) end() {
	var all sync.WaitGroup
	for _, w := range s.workers {
		w.post(command{Quit: true})
		force := time.AfterFunc(endsWithin, func() { w.cmd.Process.Kill() })
		all.Go(func() {
			w.wait()
			force.Stop()
		})
	}
	all.Wait()
}

// checkHost says what this host can do of a share of a plan.
func checkHost(req *checkRequest) *checked {
	p := &req.Plan
	c := &checked{Host: hostFacts(), Buffered: buffered(), Sources: []netip.Addr{}}
	for _, a := range req.Sources {
		if bindable(a) == nil {
			c.Sources = append(c.Sources, a)
		}
	}
	if len(req.Sources) == 0 {
		c.Sources = chooseSources(p, req.Targets)
	} else if len(c.Sources) == 0 {
		c.Fatal = append(c.Fatal, fmt.Sprintf("none of the sources, %s, is an address of this host: name some of each", strings.Join(texts(firstAndLast(req.Sources)), " to ")))
		return c
	}
	n, err := p.workers()
	if err != nil {
		c.Fatal = append(c.Fatal, err.Error())
		return c
	}
	fatal, warnings := preflight(p, nil, req.Targets, c.Sources, n)
	for _, err := range fatal {
		c.Fatal = append(c.Fatal, err.Error())
	}
	c.Workers, c.Warnings = n, slices.Clip(warnings)
	return c
}
