// Command coder serves the compared endpoints on coder/websocket: one
// goroutine a client reads and answers, and any goroutine may write.
package main

import (
	"context"
	"net/http"
	"time"

	"wsd/bench/peers/peer"

	"github.com/coder/websocket"
)

// publishWait bounds a whole publish: a client that does not read holds up
// the ones behind it, and is closed by the library when the time is over.
const publishWait = 10 * time.Second

type server struct{ clients peer.Set[*websocket.Conn] }

func main() { peer.Main(&server{}) }

func (s *server) Serve(listen string) error {
	mux := http.NewServeMux()
	mux.HandleFunc("/ws", func(w http.ResponseWriter, r *http.Request) { s.upgrade(w, r, false) })
	mux.HandleFunc("/echo", func(w http.ResponseWriter, r *http.Request) { s.upgrade(w, r, true) })
	return http.ListenAndServe(listen, mux)
}

func (s *server) upgrade(w http.ResponseWriter, r *http.Request, echo bool) {
	c, err := websocket.Accept(w, r, &websocket.AcceptOptions{InsecureSkipVerify: true})
	if err != nil {
		return // Accept has answered
	}
	c.SetReadLimit(peer.MaxMessage)
	s.clients.Add(c)
	// A fresh goroutine lets go of net/http's stack, buffers and request,
	// which makes this peer smaller than the library's own examples.
	go s.read(c, echo)
}

func (s *server) read(c *websocket.Conn, echo bool) {
	defer s.clients.Remove(c)
	defer c.CloseNow()
	ctx := context.Background()
	for {
		kind, body, err := c.Read(ctx)
		if err != nil {
			return
		}
		if echo {
			peer.Echoed()
		} else {
			kind, body = websocket.MessageText, peer.Answer(body)
		}
		if c.Write(ctx, kind, body) != nil {
			return
		}
	}
}

func (s *server) Publish(body []byte) peer.Tally {
	ctx, cancel := context.WithTimeout(context.Background(), publishWait)
	defer cancel()
	return s.clients.Send(func(c *websocket.Conn) bool {
		return c.Write(ctx, websocket.MessageText, body) == nil
	})
}
