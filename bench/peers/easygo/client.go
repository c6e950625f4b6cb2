package main

import (
	"bufio"
	"errors"
	"io"
	"net"
	"sync"

	"wsd/bench/peers/peer"

	"github.com/gobwas/ws"
)

type client struct {
	server *server
	conn   net.Conn
	fd     int
	echo   bool
	task   func() // read, bound once: submitting it then allocates nothing

	mu sync.Mutex // one writer at a time: a reader's answer or a publish
}

var (
	errEnd  = errors.New("client closes")
	errBad  = errors.New("not a frame that is taken here")
	scratch = sync.Pool{New: func() any { return &buffers{in: bufio.NewReader(nil)} }}
)

// buffers are on loan to a client while a goroutine reads it.
type buffers struct {
	in   *bufio.Reader
	head [ws.MaxHeaderSize]byte
	body []byte
}

// read takes the messages that made the socket readable, then has the poller
// watch it again. A message cut short keeps its goroutine waiting for the rest.
func (c *client) read() {
	b := scratch.Get().(*buffers)
	defer scratch.Put(b)
	b.in.Reset(c.conn)
	for {
		if err := c.message(b); err != nil {
			c.close()
			return
		}
		if b.in.Buffered() == 0 {
			break
		}
	}
	if c.server.poll.Mod(c.fd, readable) != nil {
		c.close()
	}
}

func (c *client) message(b *buffers) error {
	h, err := ws.ReadHeaderBuffer(b.in, b.head[:])
	if err != nil {
		return err
	}
	if !h.Masked || !h.Fin || h.OpCode == ws.OpContinuation || h.Length > peer.MaxMessage {
		return errBad
	}
	if int64(cap(b.body)) < h.Length {
		b.body = make([]byte, h.Length)
	}
	body := b.body[:h.Length]
	if _, err := io.ReadFull(b.in, body); err != nil {
		return err
	}
	ws.Cipher(body, h.Mask, 0)
	return c.answer(h.OpCode, body)
}

func (c *client) answer(op ws.OpCode, body []byte) error {
	switch {
	case op == ws.OpClose:
		if err := c.send(ws.OpClose, body); err != nil {
			return err
		}
		return errEnd
	case op == ws.OpPing:
		return c.send(ws.OpPong, body)
	case op == ws.OpPong:
		return nil
	case c.echo:
		peer.Echoed()
		return c.send(op, body)
	}
	return c.send(ws.OpText, peer.Answer(body))
}

func (c *client) send(op ws.OpCode, body []byte) error {
	frame, err := ws.CompileFrame(ws.NewFrame(op, true, body))
	if err != nil {
		return err
	}
	return c.write(frame)
}

func (c *client) write(frame []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, err := c.conn.Write(frame)
	return err
}

// close takes the descriptor from the poller before its number is free again.
func (c *client) close() {
	if c.server.clients.Remove(c) {
		_ = c.server.poll.Del(c.fd)
		c.conn.Close()
	}
}
