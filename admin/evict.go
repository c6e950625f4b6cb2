package admin

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"time"
)

// connState says what a connection is at, and so when it makes room for others.
type connState uint8

const (
	connQuiet     connState = iota // no request, or one of which nobody has looked who asks
	connAnswering                  // a stranger is answered
	connWaiting                    // somebody known has a request that has not begun
	connBusy                       // such a request is under way; the only one that is not evictable
)

// network is what the connections of one stranger have in common: an IPv4 address,
// or what an IPv6 host is given, a /64.
type network = netip.Prefix

func networkOf(a net.Addr) network {
	tcp, ok := a.(*net.TCPAddr)
	if !ok {
		return network{}
	}
	addr := tcp.AddrPort().Addr().Unmap()
	bits := addr.BitLen()
	if addr.Is6() {
		bits = 64
	}
	n, _ := addr.Prefix(bits)
	return n
}

// setLocked moves a connection to the end of the evictable ones, or takes it out.
func (l *limitListener) setLocked(c *limitedConn, state connState) {
	if c.place != nil {
		l.evictable.Remove(c.place)
		c.place = nil
		if c.state == connAnswering {
			l.strangers--
		}
	}
	c.state = state
	if state == connBusy {
		return
	}
	c.place = l.evictable.PushBack(c)
	if state == connAnswering {
		l.strangers++
	}
	if l.wanted {
		l.wanted = !l.evictLocked()
	}
}

// makeRoom has one connection closed, if there is one that may be, now or as soon
// as there is.
func (l *limitListener) makeRoom() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.wanted = !l.evictLocked()
}

// grace is how long somebody has to bring a first request, however many others come:
// without it a probe could be closed before its request has arrived.
const grace = 100 * time.Millisecond

// evictLocked takes from strangers first, then from those who have no request,
// and last from those whose request has not begun.
func (l *limitListener) evictLocked() bool {
	now := l.now()
	stranger := func(c *limitedConn) bool { return !c.known && (c.state == connAnswering || now.Sub(c.since) >= grace) }
	return l.evictOneLocked(stranger) ||
		l.evictOneLocked(func(c *limitedConn) bool { return c.known && c.state == connQuiet }) ||
		l.evictOneLocked(func(c *limitedConn) bool { return c.state == connWaiting })
}

// evictOneLocked closes the oldest connection that fits, of the network that has
// the most of them: whoever opens many loses many, and others theirs last. A
// publisher whose request was on its way just then sees it closed unanswered, as
// with any keep-alive connection; one whose request waits is told.
func (l *limitListener) evictOneLocked(fits func(*limitedConn) bool) bool {
	count := map[network]int{}
	most := 0
	for e := l.evictable.Front(); e != nil; e = e.Next() {
		if c := e.Value.(*limitedConn); fits(c) {
			count[c.from]++
			most = max(most, count[c.from])
		}
	}
	for e := l.evictable.Front(); e != nil; e = e.Next() {
		c := e.Value.(*limitedConn)
		if !fits(c) || count[c.from] < most {
			continue
		}
		told := c.state == connWaiting
		l.setLocked(c, connBusy)
		l.evicted.Add(1)
		if told {
			close(c.kick)
		} else {
			c.Close()
		}
		return true
	}
	return false
}

// few is how many connections strangers are answered on at once, and how many are
// left to health checks.
func (l *limitListener) few() int { return max(l.most()/8, 1) }

// toStranger tells that the request on c is a stranger's. When too many of those
// are being answered, one of them is closed; it may be this one.
func (c *limitedConn) toStranger() {
	l := c.of
	l.mu.Lock()
	defer l.mu.Unlock()
	if c.place == nil {
		return // it has been closed meanwhile
	}
	l.setLocked(c, connAnswering)
	if l.strangers > l.few() {
		l.evictOneLocked(func(c *limitedConn) bool { return c.state == connAnswering })
	}
}

// toWait tells that the request on c waits; kicked is closed when it has to end.
func (c *limitedConn) toWait() (kicked <-chan struct{}) {
	l := c.of
	l.mu.Lock()
	defer l.mu.Unlock()
	c.known, c.kick = true, make(chan struct{})
	if c.place == nil {
		close(c.kick) // it has been closed meanwhile
	} else {
		l.setLocked(c, connWaiting)
	}
	return c.kick
}

// toBusy tells that the request on c begins. From here on it is not interrupted.
// It reports false when it was closed or kicked meanwhile.
func (c *limitedConn) toBusy() bool {
	l := c.of
	l.mu.Lock()
	defer l.mu.Unlock()
	if c.place == nil {
		return false
	}
	c.known = true
	l.setLocked(c, connBusy)
	return true
}

type connKey struct{}

// withConn is the http.Server's ConnContext.
func withConn(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, c)
}

func connOf(r *http.Request) *limitedConn { return r.Context().Value(connKey{}).(*limitedConn) }
