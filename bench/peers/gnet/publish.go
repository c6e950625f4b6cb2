package main

import (
	"context"
	"maps"

	"wsd/bench/peers/peer"

	"github.com/gobwas/ws"
	"github.com/panjf2000/gnet/v2"
)

// Publish encodes the frame once and has every loop write it to its own
// clients, which spares gnet's AsyncWrite with a task for each client.
func (s *server) Publish(body []byte) peer.Tally {
	frame := ws.MustCompileFrame(ws.NewTextFrame(body))
	s.mu.Lock()
	loops := maps.Clone(s.loops)
	s.mu.Unlock()

	done := make(chan peer.Tally, len(loops))
	for on, l := range loops {
		err := on.Execute(context.Background(), gnet.RunnableFunc(func(context.Context) error {
			done <- l.publish(frame)
			return nil
		}))
		if err != nil { // the engine is shutting down
			done <- peer.Tally{}
		}
	}
	var all peer.Tally
	for range loops {
		t := <-done
		all.Matched += t.Matched
		all.Sent += t.Sent
		all.Dropped += t.Dropped
	}
	return all
}

func (l *loop) publish(frame []byte) peer.Tally {
	t := peer.Tally{Matched: len(l.clients)}
	for c := range l.clients {
		if _, err := c.Write(frame); err == nil {
			t.Sent++
		} else {
			t.Dropped++
		}
	}
	return t
}
