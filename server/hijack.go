package server

import (
	"bufio"
	"bytes"
	"errors"
	"net"
	"net/http"
	"strings"
	"syscall"

	"github.com/google/uuid"

	"wsd/conn"
	"wsd/netpoll"
)

// ServeHTTP takes a handshake over from another HTTP server or router: mount
// the Server as a handler, at any path. The connection's descriptor moves into
// the loops; from there on the client is like any other, and the goroutine
// and the buffers that net/http gave it are free. The request is checked by
// the same rules as one that came to a listener of ours; only its path does
// not matter, since the router has already decided on it. All limits of
// admission hold here as well; the handshake under way begins, and its time-out
// and rate count, when the connection is taken over. Its address is the one of
// r's connection, or, if that is in Config.ForwardedFrom, the one that
// X-Forwarded-For has. The PROXY protocol is the other server's matter, since its
// header comes before the request.
//
// Plain TCP and unix sockets can be moved, TLS ones cannot: their descriptor
// says nothing without the cipher. They are refused with 501.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if s.draining.Load() || !s.started.Load() {
		s.refuseHTTP(w)
		return
	}
	if r.TLS != nil {
		http.Error(w, "TLS connections cannot be taken over: terminate TLS in front of the server", http.StatusNotImplemented)
		return
	}
	request := s.rewrite(r)
	c, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		http.Error(w, "this connection cannot be taken over", http.StatusNotImplemented)
		return
	}
	defer c.Close() // ours is a duplicate: closing this one does not end the connection
	fd, err := s.takeOver(c)
	if err != nil {
		s.log.Warn("a hijacked connection could not be taken over", "error", err)
		e := &conn.HTTPError{Status: http.StatusNotImplemented, Reason: "this connection cannot be taken over"}
		_, _ = c.Write(s.upgrader.Refuse(request, nil, e))
		return
	}
	s.adopt(fd, c, append(request, buffered(rw.Reader)...))
}

func (s *Server) refuseHTTP(w http.ResponseWriter) {
	e := s.later()
	w.Header().Set("Retry-After", itoa(e.RetryAfter))
	http.Error(w, e.Reason, e.Status)
}

// rewrite writes the request down again as it came, for our own parser, with
// our path.
func (s *Server) rewrite(r *http.Request) []byte {
	var b bytes.Buffer
	b.WriteString(r.Method + " " + s.cfg.Path)
	if r.URL.RawQuery != "" {
		b.WriteString("?" + r.URL.RawQuery)
	}
	b.WriteString(" " + r.Proto + "\r\nHost: " + r.Host + "\r\n")
	_ = r.Header.Write(&b) // a bytes.Buffer takes everything
	if len(r.TransferEncoding) > 0 {
		// net/http takes it out of the header. A body would be read as frames.
		b.WriteString("Transfer-Encoding: " + strings.Join(r.TransferEncoding, ", ") + "\r\n")
	}
	b.WriteString("\r\n")
	return b.Bytes()
}

// buffered is what net/http read beyond the request.
func buffered(r *bufio.Reader) []byte {
	p, _ := r.Peek(r.Buffered())
	return p
}

func (s *Server) takeOver(c net.Conn) (int, error) {
	sc, ok := c.(syscall.Conn)
	if !ok {
		return -1, errors.New("it has no descriptor of its own")
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return -1, err
	}
	fd := -1
	if e := raw.Control(func(p uintptr) { fd, err = netpoll.Dup(int(p)) }); e != nil {
		return -1, e
	}
	if err != nil {
		return -1, err
	}
	if err := netpoll.Adopt(fd, s.options()); err != nil {
		_ = netpoll.Close(fd)
		return -1, err
	}
	return fd, nil
}

// adopt has the first loop decide on the newcomer, as on those of our listeners,
// and the loop of its new id answer the request.
func (s *Server) adopt(fd int, c net.Conn, request []byte) {
	n := newcomer{fd: fd, id: s.newID(), request: request}
	if a, ok := c.RemoteAddr().(*net.TCPAddr); ok {
		n.peer = a.AddrPort()
	}
	s.handoverLock.RLock() // not while the clients are being handed over
	defer s.handoverLock.RUnlock()
	if !s.loops[0].post(func(l *loop) { l.adopt(n) }) {
		_ = netpoll.Close(fd) // the server ended meanwhile
	}
}

func (l *loop) adopt(n newcomer) {
	a := l.accept
	if a == nil { // the server is stopping, which is what it will say
		a = &acceptor{dealt: make([][]newcomer, len(l.server.loops))}
	}
	a.admit(l, n)
	a.deal(l)
}

// loopOf tells which loop owns an id: the id itself decides, so that nobody
// has to look it up. Version 4 leaves byte 0 random.
func (s *Server) loopOf(id uuid.UUID) int {
	return int(uint(id[0])|uint(id[1])<<8) % len(s.loops)
}
