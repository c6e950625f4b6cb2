package server

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
)

// The headers of a proxy: whose connection it is, or that it is its own.
const (
	localV2   = "\r\n\r\n\x00\r\nQUIT\n\x20\x00\x00\x00"
	unknownV1 = "PROXY UNKNOWN\r\n"
)

func headerV1(client string) string {
	a := netip.MustParseAddrPort(client)
	family, to := "TCP4", "192.0.2.1"
	if a.Addr().Is6() {
		family, to = "TCP6", "2001:db8::1"
	}
	return fmt.Sprintf("PROXY %s %s %s %d 443\r\n", family, a.Addr(), to, a.Port())
}

func headerV2(client string) string {
	a := netip.MustParseAddrPort(client)
	port := string([]byte{byte(a.Port() >> 8), byte(a.Port())})
	kind, from := "\x11\x00\x13", string(a.Addr().AsSlice())
	if a.Addr().Is6() {
		kind = "\x21\x00\x2b"
	}
	return "\r\n\r\n\x00\r\nQUIT\n\x21" + kind + from + strings.Repeat("\x01", len(from)) + port + "\x01\xbb" + "\x04\x00\x04noop"
}

// address is where the server says that a client comes from.
func (s *site) address(p *peer) string {
	s.t.Helper()
	info, ok := s.Client(s.t.Context(), uuid.MustParse(p.id()))
	if !ok {
		s.t.Fatal("the client is not found")
	}
	return info.Address
}

// saying connects, says something first, and then shakes hands.
func (s *site) saying(first string, fields ...string) *peer {
	s.t.Helper()
	p := s.connect()
	p.write(first + request("/ws", fields...))
	if r := p.response(); r.StatusCode != 101 {
		s.t.Fatalf("after %q: %s", first, r.Status)
	}
	return p
}

func (p *peer) shakeWith(fields ...string) {
	p.t.Helper()
	p.write(request("/ws", fields...))
	if r := p.response(); r.StatusCode != 101 {
		p.t.Fatal(r.Status)
	}
}

var loopback = []string{"127.0.0.0/8"}

func TestProxyProtocol(t *testing.T) {
	s := start(t, Config{ProxyProtocol: true, ProxyFrom: loopback})
	for first, want := range map[string]string{
		headerV1("203.0.113.7:4000"):             "203.0.113.7:4000",
		headerV1("[2001:db8::7]:4000"):           "[2001:db8::7]:4000",
		headerV2("203.0.113.7:4000"):             "203.0.113.7:4000",
		headerV2("[2001:db8::7]:4000"):           "[2001:db8::7]:4000",
		headerV2("[::ffff:203.0.113.7]:4000"):    "203.0.113.7:4000",
		headerV2("127.0.0.9:4000"):               "127.0.0.9:4000", // as one of the proxies, but it is a client
		unknownV1:                                "",
		localV2:                                  "",
		localV2[:13] + "\x11\x00\x02xx":          "",
		headerV1("203.0.113.7:4000") + "\r\n":    "203.0.113.7:4000", // an empty line of the request's
		"PROXY TCP4 203.0.113.7 1.1.1.1 0 1\r\n": "203.0.113.7",
	} {
		p := s.saying(first)
		if want == "" {
			want = p.LocalAddr().String()
		}
		if got := s.address(p); got != want {
			t.Errorf("%q: it comes from %s, want %s", first, got, want)
		}
		p.leave()
	}
	if st := s.Stats(); st.ProxyUnnamed != 3 {
		t.Errorf("%d did not say whose they are, want 3", st.ProxyUnnamed)
	}
}

// However header and request are cut, the client comes in.
func TestProxyHeaderInPieces(t *testing.T) {
	s := start(t, Config{ProxyProtocol: true, ProxyFrom: loopback, Loops: 1})
	for _, first := range []string{headerV1("203.0.113.7:4000"), headerV2("203.0.113.7:4000"), localV2} {
		whole := first + request("/ws")
		for cut := 1; cut <= len(first)+1; cut++ {
			p := s.connect()
			before := s.Stats().BytesIn
			p.write(whole[:cut])
			s.until("the piece came", func(st Stats) bool { return st.BytesIn == before+uint64(cut) })
			p.write(whole[cut:] + text(beat))
			if r := p.response(); r.StatusCode != 101 {
				t.Fatalf("%q cut at %d: %s", whole, cut, r.Status)
			}
			p.expect(beating)
			p.leave()
		}
		p := s.connect()
		for i := range whole {
			p.write(whole[i : i+1])
		}
		if r := p.response(); r.StatusCode != 101 {
			body, _ := io.ReadAll(r.Body)
			t.Fatalf("%q in bytes: %s %s", whole, r.Status, body)
		}
		p.leave()
	}
}

// cutOff connects, says something, and wants the connection to end without a
// word; that may be before it is known here to have begun.
func cutOff(t *testing.T, addr, say string) {
	t.Helper()
	c, err := dialQuietly(addr)
	if errors.Is(err, syscall.ECONNRESET) {
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	p := peerOf(t, c)
	p.try(say)
	if n, err := io.Copy(io.Discard, p.br); n != 0 || err != nil && !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("it got %d bytes and %v, want nothing", n, err)
	}
	p.Close()
}

// Who is none of the proxies gets nothing, whatever it says, and takes nothing.
func TestProxyStrangers(t *testing.T) {
	log, lines := countingLog()
	path := "unix:" + filepath.Join(t.TempDir(), "s")
	s := start(t, Config{Listen: []string{"127.0.0.1:0", path}, ProxyProtocol: true, ProxyFrom: []string{"127.0.0.2", "127.0.1.0/24"}, Logger: log})
	for _, first := range []string{"", headerV1("203.0.113.7:4000"), localV2} {
		cutOff(t, s.Addrs()[0], first+request("/ws"))
		cutOff(t, s.Addrs()[1], first+request("/ws"))
	}
	s.refusedFor(refusedStranger, 6)
	if st := s.Stats(); st.Accepted != 0 || st.TurnedAway != 0 || lines.Load() != 1 {
		t.Errorf("%s; %d lines in the log", describe(st), lines.Load())
	}
	for _, ip := range []string{"127.0.0.2", "127.0.1.77"} {
		p := s.from(ip)
		p.write(headerV2("203.0.113.7:4000"))
		p.shake("/ws")
		p.alive()
	}
	unix := start(t, Config{Listen: []string{path + "2"}, ProxyProtocol: true, ProxyFrom: []string{"unix"}})
	p := unix.saying(headerV2("203.0.113.7:4000"))
	if got := unix.address(p); got != "203.0.113.7:4000" {
		t.Errorf("over a Unix socket: %s", got)
	}
	if p := unix.saying(localV2); unix.address(p) != "" {
		t.Error("a Unix socket has an address")
	}
}

// A header that is missing, twice, or not one is refused at once, with a reason.
func TestProxyHeaderRefused(t *testing.T) {
	s := start(t, Config{ProxyProtocol: true, ProxyFrom: loopback, CloseTimeout: 50 * time.Millisecond})
	refusals := uint64(0)
	for _, c := range []struct{ say, reason string }{
		{"G", "has to come first"},
		{request("/ws"), "has to come first"},
		{"\x16\x03\x01\x02\x00", "has to come first"},
		{"PROXY TCP4 203.0.113.7\r\n", "malformed PROXY"},
		{"PROXY " + strings.Repeat("x", 101), "too long"},
		{"\r\n\r\n\x00\r\nQUIT\n\x21\x11\xff\xff", "too long"},
		{"\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x00", "malformed PROXY"},
		{headerV1("203.0.113.7:1") + headerV1("203.0.113.7:1"), "malformed request"},
		{headerV2("203.0.113.7:1") + localV2, "malformed request"},
	} {
		p := s.connect()
		p.write(c.say)
		r := p.response()
		body, _ := io.ReadAll(r.Body)
		if r.StatusCode != 400 || !strings.Contains(string(body), c.reason) {
			t.Errorf("%q: %s %s", c.say, r.Status, body)
		}
		if !strings.Contains(c.reason, "request") {
			refusals++
		}
		p.Close()
	}
	s.closed(ReasonProxyHeader, refusals)
	s.closed(ReasonHandshake, 2)
	// Without the setting a header is nothing.
	plain := start(t, Config{})
	for _, first := range []string{headerV1("203.0.113.7:1"), headerV2("203.0.113.7:1"), localV2} {
		p := plain.connect()
		p.write(first + request("/ws"))
		if r := p.response(); r.StatusCode != 400 {
			t.Errorf("%q: %s", first, r.Status)
		}
	}
}

// The time for the handshake is for both: a header does not begin it anew.
func TestProxyHeaderTimeout(t *testing.T) {
	s := start(t, Config{ProxyProtocol: true, ProxyFrom: loopback, HandshakeTimeout: 300 * time.Millisecond, Loops: 1})
	first := headerV2("203.0.113.7:4000")
	for _, say := range []string{"", first[:14], first, first + "GET /ws"} {
		p := s.connect()
		p.write(say)
		if r := p.response(); r.StatusCode != 408 {
			t.Errorf("%q: %s", say, r.Status)
		}
		p.Close()
	}
	p := s.connect()
	p.write(first)
	s.until("it said whose it is", func(st Stats) bool { return st.BytesIn >= uint64(2*len(first)) })
	s.each(func(l *loop) {
		for _, j := range l.joiners.queue {
			if c := l.joining(j); c != nil {
				if which, at := l.nextLimit(j.token.Slot(), c); which != handshakeLimit || at-c.stamp != l.timeout(s.cfg.HandshakeTimeout) {
					t.Errorf("its limit is %v, %d ticks", which, at-c.stamp)
				}
			}
		}
	})
	p.Close()
	s.closed(ReasonHandshakeTimeout, 4)
}

// The share is that of the address which the header has; proxies have none.
func TestProxyShare(t *testing.T) {
	s := start(t, Config{ProxyProtocol: true, ProxyFrom: loopback, MaxPerAddress: 2, Loops: 1, HandshakeRate: 1000})
	const one, other = "203.0.113.7:1", "203.0.113.8:1"
	a, b := s.saying(headerV1(one)), s.saying(headerV2("203.0.113.7:2"))
	for range 4 { // the balancer's own
		s.saying(localV2).alive()
	}
	refused := func(first string) {
		t.Helper()
		p := s.connect()
		p.write(first)
		s.tooMany(p)
	}
	refused(headerV2(one))
	if s.unspent.Load() != 1 {
		t.Error("it has used up somebody's rate")
	}
	refused(headerV1(one))
	s.refusedFor(refusedAddress, 2)
	s.saying(headerV2(other)).alive()
	if s.shared() != 3 {
		t.Errorf("%d have a share, want 3", s.shared())
	}
	a.leave()
	s.until("it is gone", func(st Stats) bool { return st.Clients.Connected == 6 })
	half := s.connect() // who only joins counts, once the header is there
	half.write(headerV2(one))
	eventually(t, says("its share is taken"), func() bool { return s.shared() == 3 })
	refused(headerV2(one))
	half.Close()
	eventually(t, says("its share is free"), func() bool { return s.shared() == 2 })
	s.saying(headerV2(one)).alive()
	b.alive()
}

// When no room is left for saying no, who is over its share is cut off.
func TestProxyShareCrowd(t *testing.T) {
	s := start(t, Config{ProxyProtocol: true, ProxyFrom: loopback, MaxPerAddress: 1})
	s.saying(headerV2("203.0.113.7:1"))
	room := s.limits.Spare() / 2
	var crowd []*peer
	for range room + 20 {
		p := s.connect()
		p.write(headerV2("203.0.113.7:1"))
		crowd = append(crowd, p)
	}
	s.until("who is too many is turned away", func(st Stats) bool { return st.TurnedAway == 20 && st.Refused["max_per_address"] == uint64(room+20) })
	for _, p := range crowd {
		p.Close()
	}
	s.until("the crowd is gone", func(st Stats) bool { return st.Clients.Connected == 1 })
}

// Handshakes under way are counted by the addresses that the headers have: one
// that begins many gives way to another.
func TestProxyCrowd(t *testing.T) {
	s := start(t, Config{ProxyProtocol: true, ProxyFrom: loopback, MaxHandshakes: 20, Loops: 1})
	for i := range 20 {
		p := s.connect()
		client := "203.0.113.7:1"
		if i%4 == 0 {
			client = fmt.Sprintf("203.0.113.%d:1", 100+i)
		}
		p.write(headerV2(client))
	}
	told := uint64(20 * len(headerV2("203.0.113.7:1")))
	s.until("all have said whose they are", func(st Stats) bool { return st.Clients.Joining == 20 && st.BytesIn == told })
	check := func() {
		t.Helper()
		s.each(func(l *loop) {
			under := map[[16]byte]int{}
			for _, j := range l.joiners.queue {
				if c := l.joining(j); c != nil {
					under[j.key]++
				}
			}
			total := 0
			for key, n := range under {
				total += n
				if l.joiners.crowd != nil && l.joiners.crowd.count(key) != n {
					t.Errorf("%v: %d are counted, %d there", key, l.joiners.crowd.count(key), n)
				}
			}
			if int64(total) != l.count.states[stateJoining] || l.joiners.crowd != nil && len(l.joiners.crowd.of) != len(under) {
				t.Errorf("%d handshakes of %d addresses, %d are under way", total, len(under), l.count.states[stateJoining])
			}
		})
	}
	check()
	for i := range 8 {
		s.saying(headerV2(fmt.Sprintf("203.0.113.%d:1", 200+i))).alive()
		check()
	}
	if st := s.Stats(); st.Refused["evicted"] == 0 || st.Refused["max_handshakes"] != 0 {
		t.Errorf("refused: %v", st.Refused)
	}
}

// X-Forwarded-For is believed of proxies alone.
func TestForwardedFor(t *testing.T) {
	path := "unix:" + filepath.Join(t.TempDir(), "s")
	s := start(t, Config{Listen: []string{"127.0.0.1:0", path}, ForwardedFrom: []string{"127.0.0.2", "10.0.0.0/8", "unix"}, MaxPerAddress: 1, Loops: 1})
	for _, c := range []struct{ from, field, want string }{
		{"127.0.0.2", "203.0.113.7", "203.0.113.7"},
		{"127.0.0.2", "198.51.100.1, 203.0.113.8:99, 10.1.1.1", "203.0.113.8:99"},
		{"127.0.0.2", "10.1.1.1", "10.1.1.1"},
		{"127.0.0.2", "nonsense", "127.0.0.2"},
		{"127.0.0.3", "203.0.113.9", "127.0.0.3"}, // that is no proxy
		{"unix", "203.0.113.10", "203.0.113.10"},
		{"unix", "nonsense", ""},
	} {
		var p *peer
		if c.from == "unix" {
			p = connectTo(t, s.Addrs()[1])
		} else {
			p = s.from(c.from)
		}
		p.shakeWith("X-Forwarded-For: " + c.field)
		if got, _, _ := strings.Cut(s.address(p), ":"+fmt.Sprint(portOf(p))); got != c.want {
			t.Errorf("%s, %s: %s, want %s", c.from, c.field, got, c.want)
		}
	}
	if st := s.Stats(); st.ProxyUnnamed != 3 || s.shared() != 4 {
		t.Errorf("%d did not say whose they are, want 3; %d have a share, want 4", st.ProxyUnnamed, s.shared())
	}
	over := func(p *peer) {
		t.Helper()
		p.write(request("/ws", "X-Forwarded-For: 203.0.113.7"))
		if r := p.response(); r.StatusCode != 503 || r.Header.Get("Retry-After") == "" {
			t.Errorf("over its share: %s", r.Status)
		}
		p.Close()
	}
	over(s.from("127.0.0.2"))
	over(connectTo(t, s.Addrs()[1]))
	s.refusedFor(refusedAddress, 2)
	bad := s.from("127.0.0.2") // what is refused anyway takes no share
	bad.write(request("/nowhere", "X-Forwarded-For: 203.0.113.20"))
	if r := bad.response(); r.StatusCode != 404 || s.shared() != 4 {
		t.Errorf("%s, %d have a share", r.Status, s.shared())
	}
}

func portOf(p *peer) uint16 {
	a, err := netip.ParseAddrPort(p.LocalAddr().String())
	if err != nil {
		return 0
	}
	return a.Port()
}

// A balancer says with the PROXY protocol which proxy comes, and that one in the
// request which client.
func TestProxyBeforeForwarded(t *testing.T) {
	s := start(t, Config{ProxyProtocol: true, ProxyFrom: loopback, ForwardedFrom: []string{"10.0.0.0/8"}, MaxPerAddress: 1})
	for range 2 {
		s.saying(headerV2("10.0.0.1:1")) // told nothing: it is the proxy's own
	}
	if got := s.address(s.saying(headerV2("10.0.0.1:1"), "X-Forwarded-For: 203.0.113.7")); got != "203.0.113.7" {
		t.Errorf("through both: %s", got)
	}
	if got := s.address(s.saying(headerV2("203.0.113.8:1"), "X-Forwarded-For: 203.0.113.9")); got != "203.0.113.8:1" {
		t.Errorf("the client itself says where it comes from: %s", got)
	}
	p := s.connect()
	p.write(headerV1("10.0.0.1:1"))
	p.write(request("/ws", "X-Forwarded-For: 203.0.113.7"))
	p.refused(503)
	if st := s.Stats(); st.ProxyUnnamed != 2 || s.shared() != 2 {
		t.Errorf("%d did not say whose they are, want 2; %d have a share, want 2", st.ProxyUnnamed, s.shared())
	}
}

// Who comes through another HTTP server has no header: that one read it.
func TestServeHTTPBehindProxy(t *testing.T) {
	s := start(t, Config{Listen: []string{"none"}, ProxyProtocol: true, ProxyFrom: []string{"192.0.2.1"}, ForwardedFrom: loopback, MaxPerAddress: 1})
	h := mounted(t, s)
	dial := func(field string) (*peer, int) {
		p := connectTo(t, h.Listener.Addr().String())
		p.write(request("/chat", "X-Forwarded-For: "+field))
		return p, p.response().StatusCode
	}
	p, status := dial("203.0.113.7")
	if status != 101 || s.address(p) != "203.0.113.7" {
		t.Errorf("%d, from %s", status, s.address(p))
	}
	if _, status := dial("203.0.113.7"); status != 503 {
		t.Errorf("over its share: %d", status)
	}
}

// In a live upgrade addresses and shares go along, and who is in the middle of
// its header or its request goes on.
func TestHandoverBehindProxy(t *testing.T) {
	cfg := Config{ProxyProtocol: true, ProxyFrom: loopback, ForwardedFrom: []string{"10.0.0.0/8"}, MaxPerAddress: 2}
	s := start(t, cfg)
	const one = "203.0.113.7:1"
	open, local := s.saying(headerV2(one)), []*peer{s.saying(localV2), s.saying(localV2), s.saying(unknownV1)}
	silent, cut, named, proxied := s.connect(), s.connect(), s.connect(), s.connect()
	header := headerV2(one)
	cut.write(header[:20])
	named.write(header + "GET /ws HTTP/1.1\r\n")
	proxied.write(headerV1("10.0.0.1:1") + "GET /ws HTTP/1.1\r\n")
	rest := strings.TrimPrefix(request("/ws", "X-Forwarded-For: 203.0.113.8"), "GET /ws HTTP/1.1\r\n")
	s.until("all have said it", func(st Stats) bool { return st.Clients.Joining == 4 && s.shared() == 2 })
	eventually(t, says("all is read"), func() bool {
		kept := 0
		s.each(func(l *loop) { kept += l.extras.used })
		return kept == 3
	})
	for range 2 {
		s, _ = s.pass(cfg)
		if s.shared() != 2 {
			t.Errorf("%d have a share, had 2", s.shared())
		}
	}
	// To a configuration without proxies: who came before goes by what it was then.
	s, _ = s.pass(Config{MaxPerAddress: 2, ForwardedFrom: []string{"10.0.0.0/8"}})
	silent.write(headerV2("203.0.113.9:1"))
	silent.shake("/ws")
	named.write(rest)
	proxied.write(rest)
	for p, want := range map[*peer]string{open: one, named: one, proxied: "203.0.113.8", silent: "203.0.113.9:1"} {
		if p == named || p == proxied {
			if r := p.response(); r.StatusCode != 101 {
				t.Fatal(r.Status)
			}
		}
		if got := s.address(p); got != want {
			t.Errorf("it comes from %s, want %s", got, want)
		}
	}
	for _, p := range local {
		if got := s.address(p); got != p.LocalAddr().String() {
			t.Errorf("the balancer's own comes from %s", got)
		}
	}
	cut.write(header[20:]) // its share is used up by now
	cut.write(request("/ws"))
	cut.refused(503)
	if s.shared() != 4 {
		t.Errorf("%d have a share, want 4", s.shared())
	}
	// And back: who joins directly is not asked for a header that it need not send.
	direct := s.connect()
	direct.write("GET /ws HTTP/1.1\r\n")
	s.until("it joins", func(st Stats) bool { return st.Clients.Joining == 1 })
	s, _ = s.pass(cfg)
	direct.write(rest)
	if r := direct.response(); r.StatusCode != 101 {
		t.Error(r.Status)
	}
}

// Who joins through a proxy that is a stranger to the older process, and none to
// the newer, goes by what the proxy says.
func TestHandoverToForwarded(t *testing.T) {
	s := start(t, Config{MaxPerAddress: 2})
	half, open := s.connect(), s.dial()
	half.write("GET /ws HTTP/1.1\r\n")
	s.until("it joins", func(st Stats) bool { return st.Clients.Joining == 1 && s.shared() == 2 })
	s, _ = s.pass(Config{MaxPerAddress: 2, ForwardedFrom: loopback})
	half.write(strings.TrimPrefix(request("/ws", "X-Forwarded-For: 203.0.113.7"), "GET /ws HTTP/1.1\r\n"))
	if r := half.response(); r.StatusCode != 101 || s.address(half) != "203.0.113.7" || s.shared() != 2 {
		t.Errorf("%s, from %s; %d have a share", r.Status, s.address(half), s.shared())
	}
	open.alive()
}

func TestProxyConfig(t *testing.T) {
	for want, cfg := range map[string]Config{
		`ProxyProtocol true: say with ProxyFrom`:                    {ProxyProtocol: true},
		`ProxyFrom "10.0.0.0/8": it has no effect`:                  {ProxyFrom: []string{"10.0.0.0/8"}},
		`ProxyFrom "10.0.0.0/40": want a network`:                   {ProxyProtocol: true, ProxyFrom: []string{"10.0.0.0/40"}},
		`ProxyFrom "10.0.0.1/32": it is part of 10.0.0.0/8`:         {ProxyProtocol: true, ProxyFrom: []string{"10.0.0.1", "10.0.0.0/8"}},
		`ProxyFrom "10.0.0.1/32": it is there already`:              {ProxyProtocol: true, ProxyFrom: []string{"10.0.0.1", "10.0.0.1/32"}},
		`ForwardedFrom "10.0.0.1/8": it has bits behind its length`: {ForwardedFrom: []string{"10.0.0.1/8"}},
		`ForwardedFrom "::/0": any client could`:                    {ForwardedFrom: []string{"::/0"}},
		`ForwardedFrom "*": want a network`:                         {ForwardedFrom: []string{"*"}},
		`ForwardedFrom "proxy.example.org": want a network`:         {ForwardedFrom: []string{"proxy.example.org"}},
	} {
		if _, err := cfg.Complete(); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
	full, err := Config{ProxyProtocol: true, ProxyFrom: []string{"0.0.0.0/0", "::/0", "unix"}, ForwardedFrom: []string{"10.0.0.1", "2001:DB8::/32"}}.Complete()
	if err != nil || strings.Join(full.ForwardedFrom, " ") != "10.0.0.1/32 2001:db8::/32" {
		t.Errorf("%q, %v", full.ForwardedFrom, err)
	}
}
