package main

import (
	"bytes"
	"errors"
	"io"

	"wsd/bench/peers/peer"

	"github.com/gobwas/ws"
	"github.com/panjf2000/gnet/v2"
)

// loop is what the clients of one event loop share. Owned by that loop.
type loop struct {
	clients map[gnet.Conn]struct{}
	in      bytes.Reader // over the bytes at hand, for gobwas
	head    [ws.MaxHeaderSize]byte
	out     bytes.Buffer // answers to one batch of traffic
}

type client struct {
	loop       *loop
	open, echo bool
}

var (
	errEnd  = errors.New("client closes")
	errBad  = errors.New("not a frame that is taken here")
	blank   = []byte("\r\n\r\n")
	maxHead = 8 << 10 // bytes of an upgrade request
)

// take handles what is whole in the bytes, leaves answers in loop.out and
// returns how many bytes it used. An error closes the client after the answers.
func (cl *client) take(c gnet.Conn, in []byte) (used int, err error) {
	cl.loop.out.Reset()
	if !cl.open {
		if used, err = cl.upgrade(in); used == 0 || err != nil {
			return used, err
		}
		cl.open = true
		cl.loop.clients[c] = struct{}{}
		peer.Stats.Opened.Add(1)
	}
	for used < len(in) {
		n, err := cl.frame(in[used:])
		if n == 0 || err != nil {
			return used + n, err
		}
		used += n
	}
	return used, nil
}

func (cl *client) upgrade(in []byte) (used int, err error) {
	end := bytes.Index(in, blank)
	if end < 0 {
		if len(in) > maxHead {
			return 0, errBad
		}
		return 0, nil
	}
	end += len(blank)
	// The upgrader swallows whatever follows the request, so it gets no more.
	cl.loop.in.Reset(in[:end])
	up := ws.Upgrader{OnRequest: func(uri []byte) error {
		cl.echo = string(uri) == "/echo"
		return nil
	}}
	_, err = up.Upgrade(struct {
		io.Reader
		io.Writer
	}{&cl.loop.in, &cl.loop.out})
	return end, err
}

// frame answers the first frame of in; 0 when it is not whole yet.
func (cl *client) frame(in []byte) (used int, err error) {
	cl.loop.in.Reset(in)
	h, err := ws.ReadHeaderBuffer(&cl.loop.in, cl.loop.head[:])
	switch {
	case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
		return 0, nil
	case err != nil:
		return 0, err
	case !h.Masked || !h.Fin || h.OpCode == ws.OpContinuation || h.Length > peer.MaxMessage:
		return 0, errBad
	case int64(cl.loop.in.Len()) < h.Length:
		return 0, nil
	}
	from := len(in) - cl.loop.in.Len()
	used = from + int(h.Length)
	body := in[from:used]
	ws.Cipher(body, h.Mask, 0)
	return used, cl.answer(h.OpCode, body)
}

func (cl *client) answer(op ws.OpCode, body []byte) error {
	switch {
	case op == ws.OpClose:
		if err := cl.put(ws.OpClose, body); err != nil {
			return err
		}
		return errEnd
	case op == ws.OpPing:
		return cl.put(ws.OpPong, body)
	case op == ws.OpPong:
		return nil
	case cl.echo:
		peer.Echoed()
		return cl.put(op, body)
	}
	return cl.put(ws.OpText, peer.Answer(body))
}

func (cl *client) put(op ws.OpCode, body []byte) error {
	err := ws.WriteHeader(&cl.loop.out, ws.Header{Fin: true, OpCode: op, Length: int64(len(body))})
	cl.loop.out.Write(body) // a bytes.Buffer's Write never fails
	return err
}
