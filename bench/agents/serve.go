package agents

import (
	"context"
	"fmt"
	"io"
	"sync"

	"github.com/nats-io/nats.go"
)

// Serve takes the runs that coordinators offer over nc, one at a time, and gives each
// to run, with the host that it is from. A second is refused, and so is one of another
// version. Serve returns when ctx has ended and so has run, whose ctx it is.
func Serve(ctx context.Context, nc *nats.Conn, version string, run func(ctx context.Context, from string, conn io.ReadWriteCloser)) error {
	s := &serving{nats: nc, version: version, ctx: ctx, run: run}
	sub, err := nc.Subscribe(subject, s.offered)
	if err != nil {
		return err
	}
	<-ctx.Done()
	err = sub.Unsubscribe()
	s.mu.Lock()
	s.ended = true
	s.mu.Unlock()
	s.runs.Wait()
	return err
}

type serving struct {
	nats    *nats.Conn
	version string
	ctx     context.Context
	run     func(ctx context.Context, from string, conn io.ReadWriteCloser)
	runs    sync.WaitGroup

	mu    sync.Mutex
	busy  string // the host whose run it is, "" if there is none
	ended bool
}

// offered answers an offer.
func (s *serving) offered(m *nats.Msg) {
	o, err := decode[offer](m)
	if err != nil {
		return
	}
	a := answer{Version: s.version, Refused: s.refusal(&o)}
	if a.Refused == "" {
		if err := s.begin(&o); err != nil {
			a.Refused = err.Error()
		}
	}
	m.Respond(encode(a)) // a coordinator that is gone is noticed by its silence
}

// refusal says why not, "" if nothing is in the way.
func (s *serving) refusal(o *offer) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case o.Version != s.version:
		return fmt.Sprintf("its version is %s, this one is %s: run the same program on all hosts", s.version, o.Version)
	case s.busy != "":
		return fmt.Sprintf("it is busy with a run from %s, and takes one at a time", s.busy)
	case s.ended:
		return "it is stopping"
	}
	return ""
}

// begin starts a run. Offers come one after the other, so there is no other.
func (s *serving) begin(o *offer) error {
	conn, err := newStream(s.nats, toAgent(o.Run), toCoordinator(o.Run), false)
	if err != nil {
		return err
	}
	from := o.From
	if from == "" {
		from = "an unknown host"
	}
	s.mu.Lock()
	s.busy = from
	s.mu.Unlock()
	s.runs.Go(func() {
		s.run(s.ctx, from, conn)
		s.mu.Lock()
		s.busy = ""
		s.mu.Unlock()
	})
	return nil
}
