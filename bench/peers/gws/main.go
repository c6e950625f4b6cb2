// Command gws serves the compared endpoints on lxzan/gws: one goroutine a
// client with event callbacks, and a Broadcaster that encodes a publish once.
package main

import (
	"net/http"

	"wsd/bench/peers/peer"

	"github.com/lxzan/gws"
)

// handler gets the events of one endpoint's clients.
type handler struct {
	gws.BuiltinEventHandler
	s    *server
	echo bool
}

func (h *handler) OnOpen(c *gws.Conn)           { h.s.clients.Add(c) }
func (h *handler) OnClose(c *gws.Conn, _ error) { h.s.clients.Remove(c) }
func (h *handler) OnPing(c *gws.Conn, p []byte) { _ = c.WritePong(p) }

func (h *handler) OnMessage(c *gws.Conn, m *gws.Message) {
	defer m.Close() // gives the message's buffer back to the pool
	// Errors of a write are handled inside the library: OnClose follows.
	if h.echo {
		peer.Echoed()
		_ = c.WriteMessage(m.Opcode, m.Bytes())
		return
	}
	_ = c.WriteMessage(gws.OpcodeText, peer.Answer(m.Bytes()))
}

type server struct{ clients peer.Set[*gws.Conn] }

func main() { peer.Main(&server{}) }

func (s *server) Serve(listen string) error {
	mux := http.NewServeMux()
	mux.HandleFunc("/ws", s.endpoint(false))
	mux.HandleFunc("/echo", s.endpoint(true))
	return http.ListenAndServe(listen, mux)
}

func (s *server) endpoint(echo bool) http.HandlerFunc {
	up := gws.NewUpgrader(&handler{s: s, echo: echo}, &gws.ServerOption{ReadMaxPayloadSize: peer.MaxMessage})
	return func(w http.ResponseWriter, r *http.Request) {
		c, err := up.Upgrade(w, r)
		if err != nil {
			return // the upgrader has answered
		}
		// Its README asks for a goroutine here, so that net/http's part is freed.
		go c.ReadLoop()
	}
}

// Publish counts as sent what the library took into its write queues.
func (s *server) Publish(body []byte) peer.Tally {
	b := gws.NewBroadcaster(gws.OpcodeText, body)
	defer b.Close()
	return s.clients.Send(func(c *gws.Conn) bool { return b.Broadcast(c) == nil })
}
