// Command easygo serves the compared endpoints in the design of the article
// "A Million WebSockets and Go": gobwas/ws upgrades the bare net.Conn,
// mailru/easygo's epoll says when a client has sent something, and only then a
// goroutine of a bounded pool (ants) reads it. Messages in several fragments
// are refused.
package main

import (
	"net"
	"runtime"
	"syscall"

	"wsd/bench/peers/peer"

	"github.com/gobwas/ws"
	"github.com/mailru/easygo/netpoll"
	"github.com/panjf2000/ants/v2"
)

// readable is one-shot, so a client is read by one goroutine at a time.
const readable = netpoll.EPOLLIN | netpoll.EPOLLRDHUP | netpoll.EPOLLONESHOT

// workers of the pool for each processor; when all are busy, the poller waits.
const workers = 256

type server struct {
	clients peer.Set[*client]
	poll    *netpoll.Epoll
	pool    *ants.Pool
}

func main() { peer.Main(&server{}) }

func (s *server) Serve(listen string) (err error) {
	if s.pool, err = ants.NewPool(workers * runtime.GOMAXPROCS(0)); err != nil {
		return err
	}
	// netpoll.Handle, which the article uses, duplicates every descriptor; the
	// layer below it takes the plain number.
	if s.poll, err = netpoll.EpollCreate(nil); err != nil {
		return err
	}
	l, err := net.Listen("tcp", listen)
	if err != nil {
		return err
	}
	for {
		conn, err := l.Accept()
		if err != nil {
			return err
		}
		// A full pool holds up accepting, which the article asks for.
		if err := s.pool.Submit(func() { s.upgrade(conn) }); err != nil {
			return err
		}
	}
}

func (s *server) upgrade(conn net.Conn) {
	c := &client{server: s, conn: conn}
	up := ws.Upgrader{OnRequest: func(uri []byte) error {
		c.echo = string(uri) == "/echo"
		return nil
	}}
	if _, err := up.Upgrade(conn); err != nil || c.watch() != nil {
		conn.Close()
	}
}

// watch hands the client to the poller; nothing of it runs until it sends.
func (c *client) watch() error {
	raw, err := c.conn.(syscall.Conn).SyscallConn()
	if err != nil {
		return err
	}
	if err := raw.Control(func(fd uintptr) { c.fd = int(fd) }); err != nil {
		return err
	}
	c.task = c.read
	c.server.clients.Add(c)
	if err := c.server.poll.Add(c.fd, readable, c.ready); err != nil {
		c.server.clients.Remove(c)
		return err
	}
	return nil
}

func (c *client) ready(netpoll.EpollEvent) {
	if c.server.pool.Submit(c.task) != nil { // only once the pool is closed
		c.close()
	}
}

func (s *server) Publish(body []byte) peer.Tally {
	frame := ws.MustCompileFrame(ws.NewTextFrame(body))
	return s.clients.Send(func(c *client) bool { return c.write(frame) == nil })
}
