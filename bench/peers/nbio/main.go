// Command nbio serves the compared endpoints on lesismal/nbio in non-blocking
// mode: its own epoll pollers, no goroutine a client.
package main

import (
	"net/http"
	"time"

	"wsd/bench/peers/peer"

	"github.com/lesismal/nbio/logging"
	"github.com/lesismal/nbio/nbhttp"
	"github.com/lesismal/nbio/nbhttp/websocket"
)

// maxClients lifts the library's own limit out of the way.
const maxClients = 1_000_000

type server struct{ clients peer.Set[*websocket.Conn] }

func main() { peer.Main(&server{}) }

func (s *server) Serve(listen string) error {
	logging.SetLevel(logging.LevelError)
	mux := http.NewServeMux()
	mux.HandleFunc("/ws", s.endpoint(false))
	mux.HandleFunc("/echo", s.endpoint(true))
	engine := nbhttp.NewEngine(nbhttp.Config{
		Network:                 "tcp",
		Addrs:                   []string{listen},
		Handler:                 mux,
		IOMod:                   nbhttp.IOModNonBlocking,
		MaxLoad:                 maxClients,
		ReleaseWebsocketPayload: true,
		// These handlers never block, so they run on the poller itself. The
		// default, a task pool, costs a multiple of this per message.
		ServerExecutor: func(f func()) { f() },
	})
	if err := engine.Start(); err != nil {
		return err
	}
	select {}
}

func (s *server) endpoint(echo bool) http.HandlerFunc {
	up := websocket.NewUpgrader()
	up.CheckOrigin = func(*http.Request) bool { return true }
	up.KeepaliveTime = 0 // no read deadline, hence no timer, for each client
	up.MessageLengthLimit = peer.MaxMessage
	up.OnOpen(func(c *websocket.Conn) { s.clients.Add(c) })
	up.OnClose(func(c *websocket.Conn, _ error) { s.clients.Remove(c) })
	up.OnMessage(func(c *websocket.Conn, kind websocket.MessageType, body []byte) {
		// A failed write closes the client, and OnClose follows.
		if echo {
			peer.Echoed()
			_ = c.WriteMessage(kind, body)
			return
		}
		_ = c.WriteMessage(websocket.TextMessage, peer.Answer(body))
	})
	return func(w http.ResponseWriter, r *http.Request) {
		if c, err := up.Upgrade(w, r, nil); err == nil {
			_ = c.SetReadDeadline(time.Time{}) // takes back the HTTP request's one
		}
	}
}

func (s *server) Publish(body []byte) peer.Tally {
	return s.clients.Send(func(c *websocket.Conn) bool {
		return c.WriteMessage(websocket.TextMessage, body) == nil
	})
}
