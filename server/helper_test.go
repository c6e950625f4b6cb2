package server

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"wsd/conn"
)

// site is a server under test.
type site struct {
	*Server
	t     testing.TB
	first *site   // of those that were handed over from it, the one that start made; nil for that one
	heirs []*site // of the first: to be ended before it, after the test's clients
}

// serving is how many servers of start there are.
var serving int

// start runs a server on a free port of 127.0.0.1, unless cfg says where. At
// the end of the test it is stopped, if the test has not done that, and
// everything has to be as it was: goroutines, descriptors, and every record. Of
// several servers the first one looks for that, since it is the last to end: the
// workers of one that still runs come and go.
func start(t testing.TB, cfg Config, prepare ...func(*site)) *site {
	t.Helper()
	before := inUse()
	serving++
	s := newSite(t, cfg)
	t.Cleanup(func() {
		serving--
		for _, heir := range s.heirs {
			heir.over()
		}
		s.over()
		if serving == 0 {
			checkNoMore(t, before)
		}
	})
	for _, f := range prepare {
		f(s)
	}
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	return s
}

// over stops the server, if that has not been done, and looks for what is left.
func (s *site) over() {
	s.t.Helper()
	if !s.draining.Load() {
		s.balanced()
		s.stop()
	}
	s.checkEmpty()
}

// newSite makes a server that is not started yet. Unset, the time-outs are long,
// so that nothing happens by itself, and a stop takes no time.
func newSite(t testing.TB, cfg Config) *site {
	t.Helper()
	if cfg.Listen == nil {
		cfg.Listen = []string{"127.0.0.1:0"}
	}
	if cfg.DrainTime == 0 {
		cfg.DrainTime = -1
	}
	if cfg.Loops == 0 {
		cfg.Loops = 2
	}
	srv, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return &site{Server: srv, t: t}
}

// stop ends the server and expects it to say so in time.
func (s *site) stop() {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := s.Stop(ctx, false); err != nil {
		s.t.Errorf("Stop: %v", err)
	}
}

// balanced waits until every client that was accepted is either still there or
// counted once among the closed.
func (s *site) balanced() {
	s.t.Helper()
	var st Stats
	eventually(s.t, func() string { return "the counts add up: " + describe(st) }, func() bool {
		st = s.Stats()
		return st.Accepted == sum(st.Closed)+uint64(st.Clients.Joining+st.Clients.Open) &&
			st.Clients.Connected == st.Clients.Joining+st.Clients.Open+st.Clients.Closing
	})
}

func sum(counts map[string]uint64) (n uint64) {
	for _, k := range counts {
		n += k
	}
	return n
}

// checkEmpty looks into a server that has stopped: no record of any client may
// be left.
func (s *site) checkEmpty() {
	s.t.Helper()
	var st Stats
	eventually(s.t, func() string { return "what it held is given back: " + describe(st) }, func() bool {
		st = s.Stats()
		return st.PendingBytes == 0 // a handler may still be at its request
	})
	if st.Accepted != sum(st.Closed) || st.Clients.Connected != 0 || st.Clients.Open+st.Clients.Joining+st.Clients.Closing != 0 ||
		st.Queue.Queued != st.Queue.Sent+st.Queue.Evicted+st.Queue.Coalesced+st.Queue.Expired+st.Queue.Lost || st.Subscribed != 0 || st.Topics != 0 {
		s.t.Errorf("stopped, but: %s", describe(st))
	}
	if n, m := s.population.joining.Load(), s.population.refused.Load(); n != 0 || m != 0 {
		s.t.Errorf("%d clients count as joining, %d as refused", n, m)
	}
	if n := len(s.population.shares.counts); n != 0 {
		s.t.Errorf("%d addresses still have a share", n)
	}
	for _, l := range s.loops {
		l.checkEmpty(s.t)
	}
}

func (l *loop) checkEmpty(t testing.TB) {
	t.Helper()
	l.running.Lock()
	defer l.running.Unlock()
	planned := 0
	for _, head := range l.wheel.buckets {
		if head != 0 {
			planned++
		}
	}
	if l.clients.used != 0 || l.queue.used != 0 || l.byID.size() != 0 || l.extras.used != 0 || planned != 0 || l.walking() != 0 || len(l.dead) != 0 || l.holders.top != 0 || l.pooled.waiting != 0 {
		t.Errorf("loop %d holds %d clients, %d queued messages, %d ids, %d extras, %d buckets, %d walks, %d dead, %d waiting", l.number,
			l.clients.used, l.queue.used, l.byID.size(), l.extras.used, planned, l.walking(), len(l.dead), l.pooled.waiting)
	}
}

// until waits for the statistics to be as ok wants them.
func (s *site) until(what string, ok func(Stats) bool) Stats {
	s.t.Helper()
	var st Stats
	eventually(s.t, func() string { return what + "; now " + describe(st) }, func() bool {
		st = s.Stats()
		return ok(st)
	})
	return st
}

// closed waits until n clients have been closed for a reason.
func (s *site) closed(why Reason, n uint64) {
	s.t.Helper()
	s.until("closed for "+why.String(), func(st Stats) bool { return st.Closed[why.String()] == n })
}

// each runs f in every loop, in one after the other, and waits for all.
func (s *site) each(f func(*loop)) {
	s.t.Helper()
	late := time.NewTimer(patience)
	defer late.Stop()
	for _, l := range s.loops {
		done := make(chan struct{})
		if !l.post(func(l *loop) { f(l); close(done) }) {
			l.running.Lock() // it is over, or will be in a moment
			f(l)
			l.running.Unlock()
			continue
		}
		select {
		case <-done:
		case <-late.C:
			s.t.Fatalf("loop %d does not answer", l.number)
		}
	}
}

// overdue has the deadline of a message that waits in queues pass.
func (s *site) overdue(message string) {
	s.t.Helper()
	found := 0
	s.each(func(l *loop) {
		for _, slot := range l.slow.stuck {
			for k := l.clients.at(slot).head; k != 0; k = l.queue.at(k).next {
				if d := l.queue.at(k).from; d != nil && strings.HasSuffix(string(d.frame), message) {
					d.deadline = instant() - 1
					found++
				}
			}
		}
	})
	if found == 0 {
		s.t.Fatalf("%q does not wait", message)
	}
}

// peer is a client: a bare connection, and what it read of it.
type peer struct {
	net.Conn
	t    testing.TB
	br   *bufio.Reader
	left bool // has sent its close frame
}

// connect opens a connection and says nothing.
func (s *site) connect() *peer {
	s.t.Helper()
	return connectTo(s.t, s.Addrs()[0])
}

func dialQuietly(addr string) (net.Conn, error) {
	network := "tcp"
	if path, ok := strings.CutPrefix(addr, "unix:"); ok {
		network, addr = "unix", path
	}
	return net.DialTimeout(network, addr, patience)
}

func connectTo(t testing.TB, addr string) *peer {
	t.Helper()
	c, err := dialQuietly(addr)
	if err != nil {
		t.Fatal(err)
	}
	return peerOf(t, c)
}

func peerOf(t testing.TB, c net.Conn) *peer {
	t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(2 * patience))
	return &peer{Conn: c, t: t, br: bufio.NewReaderSize(c, 1<<10)}
}

// unpollable opens a descriptor that epoll refuses.
func unpollable(t testing.TB) int {
	t.Helper()
	fd, err := syscall.Open("/proc/self/exe", syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	return fd
}

// countingLog counts the lines at warning level and above.
func countingLog() (*slog.Logger, *atomic.Int64) {
	h := &counting{Handler: slog.DiscardHandler}
	return slog.New(h), &h.lines
}

type counting struct {
	slog.Handler
	lines atomic.Int64
}

func (c *counting) Enabled(_ context.Context, l slog.Level) bool { return l >= slog.LevelWarn }
func (c *counting) Handle(context.Context, slog.Record) error    { c.lines.Add(1); return nil }
func (c *counting) WithAttrs([]slog.Attr) slog.Handler           { return c }
func (c *counting) WithGroup(string) slog.Handler                { return c }

// briefly is a time-out for those of whom nothing is expected any more.
const briefly = 50 * time.Millisecond

// request is a handshake for path, with further fields.
func request(path string, fields ...string) string {
	return string(conn.AppendRequest(nil, "test", path, [16]byte{1, 2, 3}, fields...))
}

// dial makes a WebSocket client of the actions' path.
func (s *site) dial() *peer {
	s.t.Helper()
	return s.dialPath("/ws")
}

func (s *site) dialPath(path string) *peer {
	s.t.Helper()
	p := s.connect()
	p.shake(path)
	return p
}

func (s *site) dialMany(n int) []*peer {
	s.t.Helper()
	all := make([]*peer, n)
	for i := range all {
		all[i] = s.dial()
	}
	return all
}

func (p *peer) shake(path string) {
	p.t.Helper()
	p.write(request(path))
	if r := p.response(); r.StatusCode != 101 {
		p.t.Fatalf("handshake: %s", r.Status)
	}
}

// response reads an HTTP response; its body is read too.
func (p *peer) response() *http.Response {
	p.t.Helper()
	r, err := http.ReadResponse(p.br, nil)
	if err != nil {
		p.t.Fatalf("reading the response: %v", err)
	}
	if r.StatusCode != 101 {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			p.t.Fatalf("reading the body of %s: %v", r.Status, err)
		}
		r.Body = io.NopCloser(strings.NewReader(string(body)))
	}
	return r
}

func (p *peer) write(s string) {
	p.t.Helper()
	if _, err := io.WriteString(p.Conn, s); err != nil {
		p.t.Fatalf("write: %v", err)
	}
}

// try writes what the server may no longer want.
func (p *peer) try(s string) { _, _ = io.WriteString(p.Conn, s) }

var mask = [4]byte{0xde, 0xad, 0xbe, 0xef}

func frame(op ws.OpCode, payload string) string {
	return string(conn.AppendMasked(nil, op, true, []byte(payload), mask))
}

func part(op ws.OpCode, fin bool, payload string) string {
	return string(conn.AppendMasked(nil, op, fin, []byte(payload), mask))
}

func text(s string) string { return frame(ws.OpText, s) }

func (p *peer) send(s string) {
	p.t.Helper()
	p.write(text(s))
}

// next reads a frame, whatever it is.
func (p *peer) next() (f ws.Frame, err error) {
	if f.Header, err = ws.ReadHeader(p.br); err != nil {
		return f, err
	}
	if f.Header.Length > 64<<20 {
		return f, errors.New("the server sends more than any test asks for")
	}
	f.Payload = make([]byte, f.Header.Length)
	_, err = io.ReadFull(p.br, f.Payload)
	return f, err
}

// recv reads a message.
func (p *peer) recv() string {
	p.t.Helper()
	f, err := p.next()
	if err != nil {
		p.t.Fatalf("reading a message: %v", err)
	}
	if f.Header.OpCode != ws.OpText && f.Header.OpCode != ws.OpBinary || !f.Header.Fin || f.Header.Masked {
		p.t.Fatalf("got %+v %.60q where a message was expected", f.Header, f.Payload)
	}
	return string(f.Payload)
}

func (p *peer) expect(want string) {
	p.t.Helper()
	if got := p.recv(); got != want {
		p.t.Fatalf("got  %s\nwant %s", got, want)
	}
}

// ask sends a request and expects an answer.
func (p *peer) ask(request, answer string) {
	p.t.Helper()
	p.send(request)
	p.expect(answer)
}

const (
	beat    = `{"actioncode":"heart_beat"}`
	beating = `{"code":0,"msg":"success","data":true,"actioncode":"heart_beat"}`
)

// alive checks that the client is served.
func (p *peer) alive() {
	p.t.Helper()
	p.ask(beat, beating)
}

// ended reads to the close frame and the orderly end of the stream, skipping
// messages. A reset, or an end without a close frame, fails the test.
func (p *peer) ended() (ws.StatusCode, string) {
	p.t.Helper()
	code, reason, err := p.end()
	if err != nil {
		p.t.Fatalf("no close frame (1006): %v", err)
	}
	return code, reason
}

func (p *peer) end() (code ws.StatusCode, reason string, err error) {
	for {
		f, err := p.next()
		if err != nil {
			return 1006, "", err
		}
		if f.Header.OpCode != ws.OpClose {
			continue
		}
		code = 1005
		if len(f.Payload) >= 2 {
			code, reason = ws.StatusCode(binary.BigEndian.Uint16(f.Payload)), string(f.Payload[2:])
		}
		// As browsers do: answer, and wait for the server to hang up.
		if !p.left {
			p.try(frame(ws.OpClose, string(f.Payload[:min(2, len(f.Payload))])))
		}
		if _, err := p.next(); !errors.Is(err, io.EOF) {
			return code, reason, errors.Join(errors.New("after the close frame"), err)
		}
		return code, reason, nil
	}
}

// closedWith expects the server to close with a code.
func (p *peer) closedWith(want ws.StatusCode) {
	p.t.Helper()
	if code, reason := p.ended(); code != want {
		p.t.Fatalf("closed with %d %q, want %d", code, reason, want)
	}
}

// goodbye sends a close frame.
func (p *peer) goodbye() {
	p.t.Helper()
	p.left = true
	p.write(frame(ws.OpClose, "\x03\xe8"))
}

// leave closes in the proper way.
func (p *peer) leave() {
	p.t.Helper()
	p.goodbye()
	p.closedWith(1000)
	p.Close()
}

// reset has the kernel send a reset instead of an orderly end.
func (p *peer) reset() {
	if c, ok := p.Conn.(*net.TCPConn); ok {
		_ = c.SetLinger(0)
	}
	p.Close()
}

// id asks for the client's id.
func (p *peer) id() string {
	p.t.Helper()
	p.send(`{"actioncode":"whoami"}`)
	_, rest, ok := strings.Cut(p.recv(), `"client_id":"`)
	if !ok || len(rest) < 36 {
		p.t.Fatalf("whoami: %s", rest)
	}
	return rest[:36]
}
