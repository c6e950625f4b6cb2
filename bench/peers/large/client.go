package main

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"github.com/gobwas/ws"
)

// message is what is sent, made once.
type message struct {
	size      int // bytes
	text      bool
	fragments int // 0: one frame

	payload []byte
	stream  []byte // as it goes out: masked
}

func (m message) String() string {
	kind := "binary"
	if m.text {
		kind = "text"
	}
	if m.fragments > 0 {
		kind += fmt.Sprintf(" in %d frames", m.fragments)
	}
	return fmt.Sprintf("%d MiB %s", m.size>>20, kind)
}

func (m *message) make() {
	m.payload = bytes.Repeat([]byte("0123456789abcdef"), m.size/16)
	if !m.text {
		for i := range m.payload {
			m.payload[i] ^= byte(i * 7)
		}
	}
	op, rest := ws.OpBinary, m.payload
	if m.text {
		op = ws.OpText
	}
	each := len(rest)
	if m.fragments > 0 {
		each = (len(rest) + m.fragments - 1) / m.fragments
	}
	for len(rest) > 0 {
		n := min(each, len(rest))
		f := ws.NewFrame(op, n == len(rest), bytes.Clone(rest[:n]))
		m.stream = append(m.stream, ws.MustCompileFrame(ws.MaskFrameInPlaceWith(f, [4]byte{1, 2, 3, 4}))...)
		rest, op = rest[n:], ws.OpContinuation
	}
}

// client is one connection. It sends a message, whole, and reads the answer.
type client struct {
	net.Conn
	buf []byte
}

// patience is how long an echo may take.
const patience = 30 * time.Second

func dial(addr string) (*client, error) {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	_ = c.SetDeadline(time.Now().Add(patience))
	request := "GET /echo HTTP/1.1\r\nHost: " + addr + "\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
	if _, err := io.WriteString(c, request); err != nil {
		c.Close()
		return nil, err
	}
	r := bufio.NewReader(c)
	for first := true; ; first = false {
		line, err := r.ReadString('\n')
		if err == nil && first && !strings.HasPrefix(line, "HTTP/1.1 101 ") {
			err = fmt.Errorf("answered %q", line)
		}
		if err != nil {
			c.Close()
			return nil, err
		}
		if line == "\r\n" {
			return &client{Conn: c}, nil
		}
	}
}

// echo sends the message and reads it back. compare: byte for byte.
func (c *client) echo(m *message, compare bool) (time.Duration, error) {
	if len(c.buf) < m.size {
		c.buf = make([]byte, m.size)
	}
	_ = c.SetDeadline(time.Now().Add(patience))
	began := time.Now()
	if _, err := c.Write(m.stream); err != nil {
		return 0, err
	}
	for got := 0; got < m.size; {
		n, err := c.frame(c.buf[got:m.size])
		if err != nil {
			return 0, err
		}
		got += n
	}
	took := time.Since(began)
	if compare && !bytes.Equal(c.buf[:m.size], m.payload) {
		return 0, fmt.Errorf("the answer is not the message")
	}
	return took, nil
}

// frame reads one data frame's payload into p.
func (c *client) frame(p []byte) (int, error) {
	var h [10]byte
	if _, err := io.ReadFull(c, h[:2]); err != nil {
		return 0, err
	}
	n := int(h[1])
	switch n {
	case 126:
		if _, err := io.ReadFull(c, h[2:4]); err != nil {
			return 0, err
		}
		n = int(binary.BigEndian.Uint16(h[2:]))
	case 127:
		if _, err := io.ReadFull(c, h[2:10]); err != nil {
			return 0, err
		}
		n = int(binary.BigEndian.Uint64(h[2:]))
	}
	if n > len(p) || n == 0 {
		return 0, fmt.Errorf("a frame of %d bytes, opcode %d", n, h[0]&15)
	}
	return io.ReadFull(c, p[:n])
}
