package admin

import (
	"container/list"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
)

// limitListener bounds the connections open at once: the descriptors beyond
// belong to the clients. When there are as many as there may be, the one that has
// been without a request the longest makes room for the next, so that whoever
// opens connections and says nothing keeps nobody else out. While all have a
// request under way, further ones wait.
type limitListener struct {
	net.Listener
	slots   chan struct{}
	done    chan struct{}
	closed  sync.Once
	evicted atomic.Uint64

	mu    sync.Mutex
	quiet list.List // of *limitedConn without a request, the longest so in front
}

func limitConns(l net.Listener, n int) *limitListener {
	return &limitListener{Listener: l, slots: make(chan struct{}, n), done: make(chan struct{})}
}

// Accept holds at most one connection for which there is no room yet. When the
// listener is closed meanwhile, that one is let in, too: it has been taken from
// the queue that another process may serve from now on.
func (l *limitListener) Accept() (net.Conn, error) {
	accepted, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	c := &limitedConn{Conn: accepted, of: l}
	select {
	case l.slots <- struct{}{}:
		c.counted = true
		return c, nil
	default:
		l.makeRoom()
	}
	select {
	case l.slots <- struct{}{}:
		c.counted = true
	case <-l.done:
	}
	return c, nil
}

func (l *limitListener) Close() error {
	l.closed.Do(func() { close(l.done) })
	return l.Listener.Close()
}

// open is how many connections are open.
func (l *limitListener) open() int { return len(l.slots) }

// note is the http.Server's ConnState.
func (l *limitListener) note(nc net.Conn, state http.ConnState) {
	c := nc.(*limitedConn)
	l.mu.Lock()
	defer l.mu.Unlock()
	if c.quiet != nil {
		l.quiet.Remove(c.quiet)
		c.quiet = nil
	}
	if state == http.StateNew || state == http.StateIdle {
		c.quiet = l.quiet.PushBack(c)
	}
}

// makeRoom closes a connection without a request, if there is one. A publisher
// whose request was on its way just then sees it closed unanswered, as with any
// keep-alive connection.
func (l *limitListener) makeRoom() {
	l.mu.Lock()
	defer l.mu.Unlock()
	first := l.quiet.Front()
	if first == nil {
		return
	}
	c := l.quiet.Remove(first).(*limitedConn)
	c.quiet = nil
	l.evicted.Add(1)
	c.Close()
}

type limitedConn struct {
	net.Conn
	of      *limitListener
	counted bool
	quiet   *list.Element // guarded by of.mu
	closed  sync.Once
}

func (c *limitedConn) Close() error {
	err := c.Conn.Close()
	c.closed.Do(func() {
		if c.counted {
			<-c.of.slots
		}
	})
	return err
}
