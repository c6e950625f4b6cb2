package agents

import (
	"context"
	"errors"
	"io"

	"github.com/nats-io/nats.go"
)

// stream is one end of a stream of bytes. Nothing is sent again: when the connection
// to NATS breaks, so does the stream, which is why a coordinator does not reconnect.
// One goroutine may read, one may write, and any may close.
type stream struct {
	nats   *nats.Conn
	owned  bool // the connection is closed with the stream
	sub    *nats.Subscription
	to     string
	ctx    context.Context
	cancel context.CancelFunc
	rest   []byte // of the last message; the reader's
}

func newStream(nc *nats.Conn, from, to string, owned bool) (*stream, error) {
	sub, err := nc.SubscribeSync(from)
	if err != nil {
		return nil, err
	}
	// A reader that is slow for a while must not lose what is in the midst.
	if err := sub.SetPendingLimits(-1, -1); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	return &stream{nats: nc, owned: owned, sub: sub, to: to, ctx: ctx, cancel: cancel}, nil
}

func (s *stream) Read(p []byte) (int, error) {
	if len(s.rest) == 0 {
		m, err := s.sub.NextMsgWithContext(s.ctx)
		switch {
		case s.ctx.Err() != nil:
			return 0, io.ErrClosedPipe
		case errors.Is(err, nats.ErrConnectionClosed) && s.nats.LastError() != nil:
			return 0, s.nats.LastError()
		case err != nil:
			return 0, err
		case len(m.Data) == 0:
			return 0, io.EOF
		}
		s.rest = m.Data
	}
	n := copy(p, s.rest)
	s.rest = s.rest[n:]
	return n, nil
}

func (s *stream) Write(p []byte) (n int, err error) {
	for n < len(p) {
		part := p[n:min(n+chunk, len(p))]
		if err := s.nats.Publish(s.to, part); err != nil {
			return n, err
		}
		n += len(part)
	}
	return n, nil
}

// Close sends what was written and the end.
func (s *stream) Close() error {
	if s.ctx.Err() != nil {
		return nil
	}
	s.cancel()
	s.sub.Unsubscribe()
	err := s.nats.Publish(s.to, nil)
	if err == nil {
		err = s.nats.FlushTimeout(flushWithin)
	}
	if s.owned {
		s.nats.Close()
	}
	return err
}
