package server

import (
	"errors"
	"strings"
	"testing"
	"time"
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
	a.patience(patience)
	return &played{a, t}, b
}

func (p *played) tell(what byte, body string, fds ...int) {
	p.t.Helper()
	if err := p.say(what, []byte(body), fds); err != nil {
		p.t.Error(err)
	}
}

func (p *played) want(what byte) {
	p.t.Helper()
	var fds []int
	var err error
	if what == sayState {
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
	server, frames, clients := sample()
	good := appendServer(nil, &server)
	for i := range frames {
		good = appendFrame(good, &frames[i])
	}
	noClients := appendEnd(appendServer(nil, &server), &endRecord{})
	for name, test := range map[string]struct {
		say  func(p *played)
		want string
	}{
		"refused":            {func(p *played) { p.tell(sayRefused, "after all not") }, "after all not"},
		"gone":               {func(p *played) { p.Close() }, "before it had told all"},
		"gone in the middle": {func(p *played) { p.tell(sayState, string(good)); p.Close() }, "before it had told all"},
		"something else":     {func(p *played) { p.tell(sayCommit, "") }, "something else"},
		"garbage":            {func(p *played) { p.tell(sayState, "no state at all") }, "garbled"},
		"no descriptor":      {func(p *played) { p.tell(sayState, string(appendClient(good, &clients[0]))) }, "without a descriptor"},
		"a descriptor that cannot be watched": {func(p *played) {
			b := appendClient(good[:len(good):len(good)], &clients[0])
			p.tell(sayState, string(appendEnd(b, &endRecord{1, 2})), unpollable(p.t))
		}, "watching a client"},
		"the same client twice": {func(p *played) {
			b := appendClient(appendClient(good[:len(good):len(good)], &clients[0]), &clients[0])
			p.tell(sayState, string(b), pollable(p.t), pollable(p.t))
		}, "two clients"},
		"a descriptor too many": {func(p *played) { p.tell(sayState, string(noClients), pollable(p.t)) }, "missing"},
		"refused at the end": {func(p *played) {
			b := appendClient(good[:len(good):len(good)], &clients[0])
			p.tell(sayState, string(appendEnd(b, &endRecord{1, 2})), pollable(p.t))
			p.want(sayReady)
			p.tell(sayRefused, "at the last moment")
		}, "at the last moment"},
		"no commit": {func(p *played) { p.tell(sayState, string(noClients)); p.want(sayReady); p.tell(sayReady, "") }, "something else"},
	} {
		t.Run(name, func(t *testing.T) {
			p, link := play(t)
			over := make(chan error, 1)
			p.tell(sayWelcome, string(appendHeirlooms(nil, nil)))
			e, err := Inherit(link, "test")
			if err != nil {
				t.Fatal(err)
			}
			s := newSite(t, Config{Listen: []string{"none"}, Estate: e})
			go func() { over <- s.TakeOver() }()
			p.want(sayHello)
			p.want(sayPrepared)
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
	hi := string((&hello{formatNumber(stateOldest), formatNumber(stateFormat), "v"}).append(nil))
	early := func(p *played) { p.tell(sayHello, hi); p.want(sayWelcome); p.tell(sayPrepared, "") }
	state := func(p *played) {
		early(p)
		p.want(sayState) // half of the clients
		p.want(sayState)
	}
	two := string(le.AppendUint64(nil, 2))
	for name, test := range map[string]struct {
		say  func(p *played)
		want string
	}{
		"gone":             {func(p *played) { p.Close() }, "gone"},
		"no wsd":           {func(p *played) { p.tell(sayHello, "HTTP/1.1 400") }, "no wsd"},
		"older":            {func(p *played) { p.tell(sayHello, string((&hello{0, 0, "v"}).append(nil))) }, "state formats"},
		"newer":            {func(p *played) { p.tell(sayHello, string((&hello{7, 9, "v"}).append(nil))) }, "state formats"},
		"refuses":          {func(p *played) { p.tell(sayHello, hi); p.want(sayWelcome); p.tell(sayRefused, "no") }, "no"},
		"gone when ready":  {func(p *played) { early(p); p.want(sayState); p.Close() }, ""},
		"too few":          {func(p *played) { state(p); p.tell(sayReady, string(le.AppendUint64(nil, 1))) }, "1 clients of 2"},
		"gone at the end":  {func(p *played) { state(p); p.tell(sayReady, two); p.want(sayCommit); p.Close() }, "gone"},
		"something for it": {func(p *played) { state(p); p.tell(sayReady, two); p.want(sayCommit); p.tell(sayReady, "") }, "something else"},
	} {
		t.Run(name, func(t *testing.T) {
			s := start(t, Config{})
			a, b := s.dial(), s.dial()
			p, link := play(t)
			played := make(chan struct{})
			go func() { test.say(p); close(played) }()
			_, err := s.HandOver(Heir{Link: link, Kill: func() { <-played; p.Close() }})
			if err == nil || !strings.Contains(err.Error(), test.want) || errors.Is(err, ErrHeirDied) {
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
func TestHeirDies(t *testing.T) {
	s := start(t, Config{})
	a := s.dial()
	p, link := play(t)
	played := make(chan struct{})
	go func() {
		defer close(played)
		p.tell(sayHello, string((&hello{formatNumber(stateOldest), formatNumber(stateFormat), "v"}).append(nil)))
		p.want(sayWelcome)
		p.tell(sayPrepared, "")
		p.want(sayState)
		p.tell(sayReady, string(le.AppendUint64(nil, 1)))
		p.want(sayCommit)
		p.tell(sayReady, "")
		p.tell(sayRunning, "")
	}()
	_, err := s.HandOver(Heir{Link: link, Kill: func() { <-played; p.Close() }})
	if !errors.Is(err, ErrHeirDied) {
		t.Errorf("%v, want ErrHeirDied", err)
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
		_, err := s.HandOver(Heir{Link: link, Kill: func() {}})
		over <- err
	}()
	eventually(t, says("it begins"), s.handing.Load)
	if _, err := s.HandOver(Heir{}); !errors.Is(err, ErrUnderway) {
		t.Errorf("%v, want ErrUnderway", err)
	}
	p.Close()
	if err := <-over; err == nil {
		t.Error("handed over to nobody")
	}
}
