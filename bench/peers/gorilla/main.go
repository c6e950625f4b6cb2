// Command gorilla serves the compared endpoints on gorilla/websocket in the
// way of its chat example: a reader and a writer goroutine for each client, a
// channel of messages between them, a ping ticker. It is the design that wsd
// replaces.
package main

import (
	"net/http"
	"time"

	"wsd/bench/peers/peer"

	"github.com/gorilla/websocket"
)

const (
	writeWait = 10 * time.Second
	pongWait  = 60 * time.Second
	pingEvery = pongWait * 9 / 10
	backlog   = 256 // messages that may wait for one writer
)

var upgrader = websocket.Upgrader{
	ReadBufferSize:  1024,
	WriteBufferSize: 1024,
	CheckOrigin:     func(*http.Request) bool { return true },
}

type message struct {
	kind int
	body []byte
}

type client struct {
	conn *websocket.Conn
	out  chan message
	// gone is closed by the reader; out never is, as several goroutines send
	// to it.
	gone chan struct{}
	echo bool
}

type server struct{ clients peer.Set[*client] }

func main() { peer.Main(&server{}) }

func (s *server) Serve(listen string) error {
	mux := http.NewServeMux()
	mux.HandleFunc("/ws", func(w http.ResponseWriter, r *http.Request) { s.upgrade(w, r, false) })
	mux.HandleFunc("/echo", func(w http.ResponseWriter, r *http.Request) { s.upgrade(w, r, true) })
	return http.ListenAndServe(listen, mux)
}

func (s *server) upgrade(w http.ResponseWriter, r *http.Request, echo bool) {
	conn, err := upgrader.Upgrade(w, r, nil)
	if err != nil {
		return // the upgrader has answered
	}
	c := &client{conn: conn, out: make(chan message, backlog), gone: make(chan struct{}), echo: echo}
	s.clients.Add(c)
	// Fresh goroutines: net/http's stack and buffers go when this returns.
	go c.write()
	go s.read(c)
}

func (s *server) read(c *client) {
	defer func() {
		s.clients.Remove(c)
		close(c.gone)
		c.conn.Close()
	}()
	alive := func(string) error { return c.conn.SetReadDeadline(time.Now().Add(pongWait)) }
	_ = alive("") // fails only on a closed connection; the read below says so too
	c.conn.SetPongHandler(alive)
	c.conn.SetReadLimit(peer.MaxMessage)
	for {
		kind, body, err := c.conn.ReadMessage()
		if err != nil {
			return
		}
		if c.echo {
			peer.Echoed()
		} else {
			kind, body = websocket.TextMessage, peer.Answer(body)
		}
		c.out <- message{kind, body} // the writer drains it until gone is closed
	}
}

func (c *client) write() {
	ping := time.NewTicker(pingEvery)
	defer ping.Stop()
	for {
		var m message
		select {
		case m = <-c.out:
		case <-ping.C:
			m.kind = websocket.PingMessage
		case <-c.gone:
			return
		}
		_ = c.conn.SetWriteDeadline(time.Now().Add(writeWait))
		if c.conn.WriteMessage(m.kind, m.body) != nil {
			c.drain()
			return
		}
	}
}

// drain ends a client that cannot be written to: closing makes the reader
// fail, and until it has, its last message must not block it.
func (c *client) drain() {
	c.conn.Close()
	for {
		select {
		case <-c.out:
		case <-c.gone:
			return
		}
	}
}

func (s *server) Publish(body []byte) peer.Tally {
	return s.clients.Send(func(c *client) bool {
		select {
		case c.out <- message{websocket.TextMessage, body}:
			return true
		default: // too slow: closed, as in the example
			c.conn.Close()
			return false
		}
	})
}
