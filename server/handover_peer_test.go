package server

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"wsd/handoff"
	"wsd/netpoll"
)

// played is an end of a channel that a test plays.
type played struct {
	*Link
	t *testing.T
}

// play makes a channel: one end for the test, one for the code under test.
func play(t *testing.T) (*played, *Link) {
	t.Helper()
	a, f, err := NewLink()
	if err != nil {
		t.Fatal(err)
	}
	b, err := OpenLink(f)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close(); b.Close() })
	a.setTimeout(patience)
	return &played{a, t}, b
}

func (p *played) tell(what handoff.Message, body string, fds ...int) {
	p.t.Helper()
	if err := p.say(what, []byte(body), fds); err != nil {
		p.t.Error(err)
	}
}

func (p *played) want(what handoff.Message) {
	p.t.Helper()
	var fds []int
	var err error
	if what == handoff.MessageState {
		_, fds, err = p.expectState()
	} else {
		_, fds, err = p.expect(what)
	}
	closeAll(fds)
	if err != nil {
		p.t.Error(err)
	}
}

// An old process that says what it must not, or leaves before all is said, is
// not taken over from, and nothing of what it gave stays open.
func TestTakeOverFails(t *testing.T) {
	server := handoff.Server{Frozen: instant()}
	client := handoff.Client{ID: [16]byte{1}, State: handoff.StateOpen}
	frame := handoff.Frame{Frame: []byte("\x81\x05first")}
	good := frame.Append(server.Append(nil))
	good = good[:len(good):len(good)]
	end := func(b []byte, clients uint64) string {
		return string((&handoff.End{Clients: clients, Frames: 1}).Append(b))
	}
	noClients := end(good, 0)
	for name, test := range map[string]struct {
		say  func(p *played)
		want string
	}{
		"refused":            {func(p *played) { p.tell(handoff.MessageRefused, "after all not") }, "after all not"},
		"gone":               {func(p *played) { p.Close() }, "before it had told all"},
		"gone in the middle": {func(p *played) { p.tell(handoff.MessageState, string(good)); p.Close() }, "before it had told all"},
		"something else":     {func(p *played) { p.tell(handoff.MessageCommit, "") }, "something else"},
		"garbage":            {func(p *played) { p.tell(handoff.MessageState, "no state at all") }, "garbled"},
		"no descriptor":      {func(p *played) { p.tell(handoff.MessageState, string(client.Append(good))) }, "without a descriptor"},
		"a descriptor that cannot be watched": {func(p *played) {
			p.tell(handoff.MessageState, end(client.Append(good), 1), unpollable(p.t))
		}, "watching a client"},
		"the same client twice": {func(p *played) {
			p.tell(handoff.MessageState, string(client.Append(client.Append(good))), pollable(p.t), pollable(p.t))
		}, "two clients"},
		"a descriptor too many": {func(p *played) { p.tell(handoff.MessageState, noClients, pollable(p.t)) }, "missing"},
		"refused at the end": {func(p *played) {
			p.tell(handoff.MessageState, end(client.Append(good), 1), pollable(p.t))
			p.want(handoff.MessageReady)
			p.tell(handoff.MessageRefused, "at the last moment")
		}, "at the last moment"},
		"no commit": {func(p *played) {
			p.tell(handoff.MessageState, noClients)
			p.want(handoff.MessageReady)
			p.tell(handoff.MessageReady, "")
		}, "something else"},
	} {
		t.Run(name, func(t *testing.T) {
			p, link := play(t)
			over := make(chan error, 1)
			p.tell(handoff.MessageWelcome, string(handoff.AppendFiles(nil, nil)))
			e, err := Inherit(link, "test")
			if err != nil {
				t.Fatal(err)
			}
			s := newSite(t, Config{Listen: []string{"none"}, Inheritance: e})
			go func() { over <- s.TakeOver() }()
			p.want(handoff.MessageHello)
			p.want(handoff.MessagePrepared)
			test.say(p)
			select {
			case err = <-over:
			case <-time.After(patience):
				t.Fatal("it goes on waiting")
			}
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%v, want %q", err, test.want)
			}
			s.checkEmpty()
		})
	}
}

// A new process that says what it must not, or leaves, takes nothing over.
func TestHandOverFails(t *testing.T) {
	hi := string((&handoff.Hello{Oldest: handoff.Oldest(), Newest: handoff.Format(), Version: "v"}).Append(nil))
	early := func(p *played) {
		p.tell(handoff.MessageHello, hi)
		p.want(handoff.MessageWelcome)
		p.tell(handoff.MessagePrepared, "")
	}
	state := func(p *played) {
		early(p)
		p.want(handoff.MessageState) // half of the clients
		p.want(handoff.MessageState)
	}
	two := string(handoff.AppendReady(nil, 2))
	for name, test := range map[string]struct {
		say  func(p *played)
		want string
	}{
		"gone":   {func(p *played) { p.Close() }, "gone"},
		"no wsd": {func(p *played) { p.tell(handoff.MessageHello, "HTTP/1.1 400") }, "no wsd"},
		"older":  {func(p *played) { p.tell(handoff.MessageHello, string((&handoff.Hello{Version: "v"}).Append(nil))) }, "state formats"},
		"newer": {func(p *played) {
			p.tell(handoff.MessageHello, string((&handoff.Hello{Oldest: 7, Newest: 9, Version: "v"}).Append(nil)))
		}, "state formats"},
		"refuses": {func(p *played) {
			p.tell(handoff.MessageHello, hi)
			p.want(handoff.MessageWelcome)
			p.tell(handoff.MessageRefused, "no")
		}, "no"},
		"gone when ready": {func(p *played) { early(p); p.want(handoff.MessageState); p.Close() }, ""},
		"too few":         {func(p *played) { state(p); p.tell(handoff.MessageReady, string(handoff.AppendReady(nil, 1))) }, "1 clients of 2"},
		"gone at the end": {func(p *played) { state(p); p.tell(handoff.MessageReady, two); p.want(handoff.MessageCommit); p.Close() }, "gone"},
		"something for it": {func(p *played) {
			state(p)
			p.tell(handoff.MessageReady, two)
			p.want(handoff.MessageCommit)
			p.tell(handoff.MessageReady, "")
		}, "something else"},
	} {
		t.Run(name, func(t *testing.T) {
			s := start(t, Config{})
			a, b := s.dial(), s.dial()
			p, link := play(t)
			played := make(chan struct{})
			go func() { test.say(p); close(played) }()
			_, err := s.HandOver(Successor{Link: link, Kill: func() { <-played; p.Close() }})
			if err == nil || !strings.Contains(err.Error(), test.want) || errors.Is(err, ErrSuccessorDied) {
				t.Errorf("%v, want %q", err, test.want)
			}
			a.alive()
			b.alive()
			s.dial().alive()
			if _, err := s.Publish(t.Context(), All(), Message{Data: []byte("news")}); err != nil {
				t.Error(err)
			}
			a.expect("news")
			s.pass(Config{}) // and it can be tried again
			a.alive()
		})
	}
}

// A new process that dies after it has begun to serve has taken the clients
// with it: the old one does not go on with what may be out of date.
func TestSuccessorDies(t *testing.T) {
	s := start(t, Config{})
	a := s.dial()
	p, link := play(t)
	played := make(chan struct{})
	go func() {
		defer close(played)
		p.tell(handoff.MessageHello, string((&handoff.Hello{Oldest: handoff.Oldest(), Newest: handoff.Format(), Version: "v"}).Append(nil)))
		p.want(handoff.MessageWelcome)
		p.tell(handoff.MessagePrepared, "")
		p.want(handoff.MessageState)
		p.tell(handoff.MessageReady, string(handoff.AppendReady(nil, 1)))
		p.want(handoff.MessageCommit)
		p.tell(handoff.MessageReady, "")
		p.tell(handoff.MessageRunning, "")
	}()
	_, err := s.HandOver(Successor{Link: link, Kill: func() { <-played; p.Close() }})
	if !errors.Is(err, ErrSuccessorDied) {
		t.Errorf("%v, want ErrSuccessorDied", err)
	}
	if f, err := a.next(); err == nil {
		t.Errorf("the client got %v", f.Header)
	}
	if _, err := s.Publish(t.Context(), All(), Message{Data: []byte("news")}); !errors.Is(err, ErrStopped) {
		t.Errorf("publish: %v", err)
	}
}

func TestHandOverTwice(t *testing.T) {
	s := start(t, Config{})
	p, link := play(t)
	over := make(chan error, 1)
	go func() {
		_, err := s.HandOver(Successor{Link: link, Kill: func() {}})
		over <- err
	}()
	eventually(t, says("it begins"), s.handing.Load)
	if _, err := s.HandOver(Successor{}); !errors.Is(err, ErrUnderway) {
		t.Errorf("%v, want ErrUnderway", err)
	}
	p.Close()
	if err := <-over; err == nil {
		t.Error("handed over to nobody")
	}
}

// accepted is a connection: the peer's end, and a server's as a descriptor, which
// is the caller's.
func accepted(t *testing.T) (p *peer, fd int) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	p = connectTo(t, ln.Addr().String())
	c, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	f, err := c.(*net.TCPConn).File()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if fd, err = netpoll.Dup(descriptorOf(f)); err != nil {
		t.Fatal(err)
	}
	return p, fd
}

// What a process of each format says that is read is taken over, and its clients
// go on where they were: amid a message, with a queue, amid a handshake, refused.
func TestTakeOverFromEachFormat(t *testing.T) {
	for format := handoff.Oldest(); format <= handoff.Format(); format++ {
		t.Run(fmt.Sprint(format), func(t *testing.T) {
			p, link := play(t)
			var peers []*peer
			var fds []int
			for range 3 {
				peer, fd := accepted(t)
				peers, fds = append(peers, peer), append(fds, fd)
			}
			p.tell(handoff.MessageWelcome, string(handoff.AppendFiles(nil, nil)))
			e, err := Inherit(link, "test")
			if err != nil {
				t.Fatal(err)
			}
			s := newSite(t, Config{Inheritance: e, CloseTimeout: 200 * time.Millisecond})
			over := make(chan error, 1)
			go func() { over <- s.TakeOver() }()
			p.want(handoff.MessageHello)
			p.want(handoff.MessagePrepared)
			p.tell(handoff.MessageState, string(stateOf(t, fmt.Sprint(format))), fds...)
			closeAll(fds) // the new process has copies
			p.want(handoff.MessageReady)
			p.tell(handoff.MessageCommit, "")
			p.want(handoff.MessageRunning)
			if err := <-over; err != nil {
				t.Fatal(err)
			}
			if got := string(e.Extra()); got != "of the application" {
				t.Errorf("extra %q", got)
			}

			open, joining, refused := peers[0], peers[1], peers[2]
			end := make([]byte, 3) // of a published message that was sent in part
			if _, err := io.ReadFull(open.br, end); err != nil || string(end) != "rst" {
				t.Errorf("%q, %v", end, err)
			}
			open.expect("ok")
			got := open.recv()
			if got == "second" { // else its deadline passed meanwhile
				got = open.recv()
			}
			if !strings.Contains(got, `"code":5`) { // the request that waited asks for what there is not
				t.Errorf("got %s", got)
			}
			mask, rest := [4]byte{0xde, 0xad, 0xbe, 0xef}, []byte("12345678") // the byte before came already
			for i := range rest {
				rest[i] ^= mask[(i+1)%4]
			}
			open.write(string(rest))
			if got := open.recv(); !strings.Contains(got, `"code":1`) { // "abc_12345678" is no request
				t.Errorf("got %s", got)
			}
			open.alive()
			if r, err := s.Publish(t.Context(), Topic("news/ü"), Message{Data: []byte("news")}); err != nil || r.Sent != 1 {
				t.Errorf("published: %+v, %v", r, err)
			}
			open.expect("news")
			_, fields, _ := strings.Cut(request("/ws"), "\r\n")
			joining.write(fields)
			if r := joining.response(); r.StatusCode != 101 {
				t.Errorf("the handshake that was cut: %s", r.Status)
			}
			joining.alive()
			refused.Close()
			s.until("one is gone", func(st Stats) bool { return st.Clients.Connected == 2 && s.population.refused.Load() == 0 })
			open.leave()
			joining.leave()
			s.stop()
			for _, l := range s.loops { // the counters that came do not add up
				l.checkEmpty(t)
			}
		})
	}
}
