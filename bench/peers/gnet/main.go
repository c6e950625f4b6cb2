// Command gnet serves the compared endpoints on panjf2000/gnet with
// gobwas/ws: gnet's event loops own the clients and the bytes, gobwas does the
// handshake and the frame headers on the bytes that have arrived. Messages in
// several fragments are refused.
package main

import (
	"sync"

	"wsd/bench/peers/peer"

	"github.com/panjf2000/gnet/v2"
	"github.com/panjf2000/gnet/v2/pkg/logging"
)

type server struct {
	gnet.BuiltinEventEngine
	// Guarded by mu: filled as loops get their first client.
	mu    sync.Mutex
	loops map[gnet.EventLoop]*loop
}

func main() { peer.Main(&server{loops: make(map[gnet.EventLoop]*loop)}) }

func (s *server) Serve(listen string) error {
	return gnet.Run(s, "tcp://"+listen,
		gnet.WithMulticore(true), // one loop for each processor it may use
		gnet.WithLogLevel(logging.ErrorLevel))
}

func (s *server) loopOf(c gnet.Conn) *loop {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.loops[c.EventLoop()]
	if l == nil {
		l = &loop{clients: make(map[gnet.Conn]struct{})}
		s.loops[c.EventLoop()] = l
	}
	return l
}

func (s *server) OnOpen(c gnet.Conn) ([]byte, gnet.Action) {
	c.SetContext(&client{loop: s.loopOf(c)})
	return nil, gnet.None
}

func (s *server) OnClose(c gnet.Conn, _ error) gnet.Action {
	if cl := c.Context().(*client); cl.open {
		delete(cl.loop.clients, c)
		peer.Stats.Closed.Add(1)
	}
	return gnet.None
}

// OnTraffic answers all the whole frames that have arrived with one write.
func (s *server) OnTraffic(c gnet.Conn) gnet.Action {
	cl := c.Context().(*client)
	in, err := c.Peek(-1)
	if err != nil {
		return gnet.Close
	}
	used, err := cl.take(c, in)
	// Discard(0) means everything, not nothing.
	if used > 0 {
		if _, err := c.Discard(used); err != nil {
			return gnet.Close
		}
	}
	if out := cl.loop.out.Bytes(); len(out) > 0 {
		if _, err := c.Write(out); err != nil {
			return gnet.Close
		}
	}
	if err != nil {
		return gnet.Close
	}
	return gnet.None
}
