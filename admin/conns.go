package admin

import (
	"container/list"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// limitListener bounds the connections open at once: the descriptors beyond
// belong to the clients. When there are as many as there may be, one makes room
// for the next (evict.go), so that strangers keep nobody out, whether they say
// nothing or do not read what they are told. While all have a request under way
// that may take its time, further ones wait.
type limitListener struct {
	net.Listener
	now     func() time.Time
	slots   chan struct{}
	done    chan struct{}
	closed  sync.Once
	evicted atomic.Uint64
	refused atomic.Uint64 // requests for which there was no place

	mu        sync.Mutex
	evictable list.List // of *limitedConn, the first to become so in front
	strangers int       // connections on which a stranger's request is answered
	wanted    bool      // one more waits, and none could make room for it
}

func limitConns(l net.Listener, n int) *limitListener {
	return &limitListener{Listener: l, now: time.Now, slots: make(chan struct{}, n), done: make(chan struct{})}
}

// Accept holds at most one connection for which there is no room yet. When the
// listener is closed meanwhile, that one is let in, too: it has been taken from
// the queue that another process may serve from now on.
func (l *limitListener) Accept() (net.Conn, error) {
	accepted, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	c := &limitedConn{Conn: accepted, of: l, from: networkOf(accepted.RemoteAddr()), since: l.now()}
	select {
	case l.slots <- struct{}{}:
		c.counted = true
		return c, nil
	default:
	}
	for {
		l.makeRoom()
		select {
		case l.slots <- struct{}{}:
			c.counted = true
			return c, nil
		case <-l.done:
			return c, nil
		case <-time.After(grace): // by now there may be one that has used it up
		}
	}
}

func (l *limitListener) Close() error {
	l.closed.Do(func() { close(l.done) })
	return l.Listener.Close()
}

// open is how many connections are open, and most how many may be.
func (l *limitListener) open() int { return len(l.slots) }
func (l *limitListener) most() int { return cap(l.slots) }

// note is the http.Server's ConnState. A connection stays evictable when a request
// comes: who asks turns out later.
func (l *limitListener) note(nc net.Conn, state http.ConnState) {
	c := nc.(*limitedConn)
	l.mu.Lock()
	defer l.mu.Unlock()
	switch state {
	case http.StateNew, http.StateIdle:
		l.setLocked(c, connQuiet)
	case http.StateClosed, http.StateHijacked:
		l.setLocked(c, connBusy)
	}
}

type limitedConn struct {
	net.Conn
	of      *limitListener
	from    network
	since   time.Time
	counted bool
	closed  sync.Once

	// Guarded by of.mu.
	state connState
	place *list.Element // in of.evictable; nil while busy, or made room of
	known bool          // it has brought a request that was allowed
	kick  chan struct{} // closed when a request that waits has to give up
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
