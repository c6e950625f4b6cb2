package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"wsd/conn"
	"wsd/dispatch"
)

// knowingMux is testMux with the action auth, and with tokens that say more: a user's
// name, and then options as in "ada;id=t1;exp=60;topics=a,b;subscribe=x.*;actions=echo".
// exp and iat are seconds from now. A token that begins with "slow:" takes a worker.
func knowingMux(wall func() time.Time) *dispatch.Mux {
	m := testMux()
	dispatch.Auth(m)
	m.Authenticate = func(_ *dispatch.Context, token []byte) (any, error) {
		name, options, _ := strings.Cut(strings.TrimPrefix(string(token), "slow:"), ";")
		switch name {
		case "bad":
			return nil, dispatch.ErrTokenInvalid
		case "old":
			return nil, dispatch.ErrTokenExpired
		case "denied":
			return nil, &dispatch.Error{Code: dispatch.PermissionDenied, Msg: "not you"}
		case "internal":
			return nil, errors.New("the password is secret")
		case "panic":
			panic("the password is secret")
		}
		who := Identity{Subject: name}
		for option := range strings.SplitSeq(options, ";") {
			key, value, _ := strings.Cut(option, "=")
			list := strings.Split(value, ",")
			n := 0
			_, _ = fmt.Sscan(value, &n)
			switch key {
			case "id":
				who.TokenID = value
			case "exp":
				who.Expires = wall().Add(time.Duration(n) * time.Second)
			case "iat":
				who.Issued = wall().Add(time.Duration(n) * time.Second)
			case "topics":
				who.Topics = list
			case "subscribe":
				who.Subscribe = list
			case "actions":
				who.Actions = list
			case "fanout":
				who.Fanout = true
			case "limit":
				who.Limit = n
			}
		}
		return who, nil
	}
	m.Recall = func(token []byte) (any, bool, error) {
		if strings.HasPrefix(string(token), "slow:") {
			return nil, false, nil
		}
		who, err := m.Authenticate(nil, token)
		return who, true, err
	}
	return m
}

// knowing starts a server whose clients prove who they are, with a clock that tests
// move.
func knowing(t testing.TB, cfg Config) (*site, *atomic.Int64) {
	t.Helper()
	clock := new(atomic.Int64)
	clock.Store(1_800_000_000)
	wall := func() time.Time { return time.Unix(clock.Load(), 0) }
	cfg.Mux = knowingMux(wall)
	if cfg.Auth == "" {
		cfg.Auth = AuthRequired
	}
	s := start(t, cfg)
	s.each(func(l *loop) { l.server.wall = wall })
	return s, clock
}

func bearer(token string) string { return "Authorization: Bearer " + token }

// dialAs connects with a token.
func (s *site) dialAs(token string) *peer {
	s.t.Helper()
	p := s.connect()
	p.write(request("/ws", bearer(token)))
	if r := p.response(); r.StatusCode != 101 {
		s.t.Fatalf("handshake with %s: %s", token, r.Status)
	}
	return p
}

// turnedAway expects a problem.
func (p *peer) turnedAway(status int, detail string) {
	p.t.Helper()
	r := p.response()
	body, _ := io.ReadAll(r.Body)
	if r.StatusCode != status || r.Header.Get("Content-Type") != "application/problem+json" || !strings.Contains(string(body), `"detail":"`+detail+`"`) {
		p.t.Errorf("%s: %s; want %d, %s", r.Status, body, status, detail)
	}
	if challenge := r.Header.Get("WWW-Authenticate"); (challenge != "") != (status == 401) {
		p.t.Errorf("%d with the challenge %q", status, challenge)
	}
}

// TestTokenAtTheConnect: in each place, looked at on the loop or by a worker.
func TestTokenAtTheConnect(t *testing.T) {
	s, _ := knowing(t, Config{TokenFrom: []string{TokenHeader, TokenProtocol, TokenQuery, TokenMessage}})
	for _, slow := range []string{"", "slow:"} {
		for name, c := range map[string]struct{ path, field, protocol string }{
			"header":          {"/ws", bearer(slow + "ada"), ""},
			"header, odd":     {"/ws", "aUTHORIZATION:  bEARER   " + slow + "ada \t", ""},
			"protocol":        {"/ws", "Sec-WebSocket-Protocol: chat, wsd.token.ada", "chat"},
			"protocol first":  {"/ws", "Sec-WebSocket-Protocol: wsd.token.ada, chat", "chat"},
			"protocol alone":  {"/ws", "Sec-WebSocket-Protocol: wsd.token.ada", ""},
			"query":           {"/ws?a=b&token=" + slow + "ada", "X: y", ""},
			"order":           {"/ws?token=bad", bearer(slow + "ada"), ""},
			"a user's own":    {"/ws?token=ada", "Authorization: Basic YTpi", ""},
			"empty, then one": {"/ws?token=ada", "Authorization: Bearer ", ""},
		} {
			p := s.connect()
			p.write(request(c.path, c.field) + text(beat))
			r := p.response()
			if r.StatusCode != 101 || r.Header.Get("Sec-WebSocket-Protocol") != c.protocol {
				t.Errorf("%s: %s, %q", name, r.Status, r.Header.Get("Sec-WebSocket-Protocol"))
				continue
			}
			p.expect(beating) // what came behind the request
			p.send(`{"actioncode":"whoami"}`)
			if got := p.recv(); !strings.Contains(got, `"user":"ada"`) {
				t.Errorf("%s: %s", name, got)
			}
		}
		for token, c := range map[string]struct {
			status int
			detail string
		}{
			"bad": {401, "token invalid"}, "old": {401, "token expired"}, "denied": {403, "not you"}, "internal": {403, "permission denied"},
			"panic": {403, "permission denied"}, strings.Repeat("u", MaxUser+1): {401, "the user's name is too long"},
		} {
			p := s.connect()
			p.write(request("/ws", bearer(slow+token)))
			p.turnedAway(c.status, c.detail)
		}
	}
	for name, c := range map[string]struct{ path, fields string }{
		"two fields":           {"/ws", bearer("ada") + "\r\n" + bearer("ada")},
		"two schemes":          {"/ws", bearer("ada") + "\r\nAuthorization: Basic YTpi"},
		"two protocols":        {"/ws", "Sec-WebSocket-Protocol: wsd.token.ada, wsd.token.ada"},
		"two protocols' lines": {"/ws", "Sec-WebSocket-Protocol: wsd.token.ada\r\nSec-WebSocket-Protocol: wsd.token.bob"},
		"two parameters":       {"/ws?token=ada&token=bob", "X: y"},
	} {
		p := s.connect()
		p.write(request(c.path, strings.Split(c.fields, "\r\n")...))
		if r := p.response(); r.StatusCode != 401 {
			t.Errorf("%s: %s", name, r.Status)
		}
	}
	st := s.until("all are counted", func(st Stats) bool { return st.Auth["ok"] == 18 && st.Auth["invalid"] == 9 })
	if st.Auth["expired"] != 2 || st.Auth["forbidden"] != 6 || st.Closed["unauthorized"] != 17 {
		t.Errorf("%v, %v", st.Auth, st.Closed)
	}
}

// TestTokenByMessage: the first message proves who a client is; before it there is
// nothing else for it, and if it does not come, or is no good, the client goes.
func TestTokenByMessage(t *testing.T) {
	s, _ := knowing(t, Config{})
	for _, slow := range []string{"", "slow:"} {
		p := s.dial()
		p.ask(`{"actioncode":"echo","data":1}`, answer(8, "token empty", "null", "echo", ""))
		p.ask(beat, answer(8, "token empty", "null", "heart_beat", ""))
		if r := s.publish(All(), "not for you"); r.Matched != 0 {
			t.Errorf("%+v", r)
		}
		p.send(`{"actioncode":"auth","token":"` + slow + `ada;topics=t"}`)
		if got := p.recv(); !strings.Contains(got, `"topics":["t"],"user":"ada"`) {
			t.Error(got)
		}
		s.sent(Topic("t"), "for you", 1)
		p.expect("for you")
		s.sent(User("ada"), "for you, too", 1)
		p.expect("for you, too")
		for token, code := range map[string]int{"bad": 6, "old": 7, "denied": 9, "": 8} {
			q := s.dial()
			q.write(text(`{"actioncode":"auth","token":"`+slow+token+`"}`) + text(beat))
			if slow != "" && token == "" {
				continue
			}
			if got := q.recv(); !strings.Contains(got, fmt.Sprintf(`{"code":%d,`, code)) {
				t.Errorf("%s: %s", token, got)
			}
			q.closedWith(3000)
		}
		p.leave()
	}
	silent := s.dial()
	s.sleep(s.cfg.AuthTimeout)
	silent.closedWith(3000)
	s.until("it is counted", func(st Stats) bool { return st.Auth["timeout"] >= 1 && st.Auth["ok"] >= 2 })
	echo, _ := knowing(t, Config{EchoPath: "/echo"})
	p := echo.connect()
	p.write(request("/echo"))
	p.turnedAway(401, "token empty")
}

// TestAuthOptional: who brings nothing is anonymous, and may prove who they are later;
// who brings something bad is refused.
func TestAuthOptional(t *testing.T) {
	s, _ := knowing(t, Config{Auth: AuthOptional, Topics: []string{"public"}, Actions: []string{"ech*"}})
	p := s.dial()
	p.ask(`{"actioncode":"who"}`, answer(9, "permission denied", "null", "who", ""))
	p.ask(`{"actioncode":"subscribe","data":{"topics":["x.1"]}}`, answer(9, "permission denied", "null", "subscribe", ""))
	p.ask(`{"actioncode":"echo","data":1}`, good("1", "echo"))
	p.ask(`{"actioncode":"auth","token":"bad"}`, answer(6, "token invalid", "null", "auth", ""))
	p.ask(`{"actioncode":"auth"}`, answer(8, "token empty", "null", "auth", ""))
	p.send(`{"actioncode":"auth","token":"slow:ada;subscribe=x.*;actions=who,subscribe;fanout=1"}`)
	if got := p.recv(); !strings.Contains(got, `"user":"ada","grants":{"subscribe":["x.*"],"actions":["who","subscribe"],"fanout":true}`) {
		t.Error(got)
	}
	p.ask(`{"actioncode":"subscribe","data":{"topics":["x.1","public"]}}`, good(`["public","x.1"]`, "subscribe"))
	p.ask(`{"actioncode":"subscribe","data":{"topics":["y"]}}`, answer(9, "permission denied", "null", "subscribe", ""))
	p.ask(`{"actioncode":"add","data":[1]}`, answer(9, "permission denied", "null", "add", ""))
	p.ask(`{"actioncode":"echo","data":1,"is_broadcast":true}`, good("1", "echo"))
	bad := s.connect()
	bad.write(request("/ws", bearer("bad")))
	bad.turnedAway(401, "token invalid")
	if st := s.Stats(); st.Auth["anonymous"] != 1 || st.Users != 1 {
		t.Errorf("%v, %d users", st.Auth, st.Users)
	}
}

// TestRefusedByClose: a page in a browser learns why from a close code.
func TestRefusedByClose(t *testing.T) {
	s, _ := knowing(t, Config{AuthRefuse: RefuseClose, MaxPerUser: 1, TokenFrom: []string{TokenHeader}})
	s.dialAs("full")
	for token, want := range map[string]ws.StatusCode{"bad": 3000, "old": 3000, "slow:bad": 3000, "denied": 3003, "slow:denied": 3003, "internal": 3003, "full": 1008} {
		p := s.dialAs(token)
		if code, reason := p.ended(); code != want || strings.Contains(reason, "secret") {
			t.Errorf("%s: %d %q", token, code, reason)
		}
	}
	p := s.dial() // without one
	p.closedWith(3000)
}

// TestIdentityInActions: an action that needs a token takes the one that the client came
// by, or the request's own.
func TestIdentityInActions(t *testing.T) {
	m := testMux()
	dispatch.Auth(m)
	dispatch.Handle(m, "me", func(ctx *dispatch.Context, _ struct{}) (string, error) {
		return identityOf(ctx.Identity).Subject, nil
	}, dispatch.Token())
	s := start(t, Config{Mux: m, Auth: AuthOptional})
	p := s.dialAs("ada")
	p.ask(`{"actioncode":"me"}`, good(`"ada"`, "me"))
	p.ask(`{"actioncode":"me","token":"bob"}`, good(`"bob"`, "me"))
	s.dial().ask(`{"actioncode":"me"}`, answer(8, "token empty", "null", "me", ""))
}

// TestAuthenticateHook: an application decides about newcomers by what it likes, and
// may wait for it, several at once.
func TestAuthenticateHook(t *testing.T) {
	release, entered := make(chan struct{}), make(chan struct{}, 100)
	s := start(t, Config{Loops: 1, Auth: AuthRequired, TokenFrom: []string{TokenQuery},
		Authenticate: func(ctx context.Context, n *Newcomer) (*Identity, error) {
			entered <- struct{}{}
			switch name := string(n.Request.Header("X-User")); name {
			case "":
				return nil, nil
			case "teapot":
				return nil, &conn.HTTPError{Status: 418, Reason: "short and stout"}
			case "wait":
				<-release
				return &Identity{Subject: string(n.Token)}, nil
			case "panic":
				panic(name)
			default:
				return &Identity{Subject: name, Topics: []string{"t"}}, nil
			}
		}})
	var waiting []*peer
	for i := range 8 {
		p := s.connect()
		p.write(request(fmt.Sprintf("/ws?token=u%d", i), "X-User: wait"))
		waiting = append(waiting, p)
		<-entered
	}
	gone := s.connect()
	gone.write(request("/ws", "X-User: wait"))
	<-entered
	gone.reset()
	p := s.connect()
	p.write(request("/ws", "X-User: ada"))
	if r := p.response(); r.StatusCode != 101 {
		t.Fatal(r.Status)
	}
	s.sent(User("ada"), "x", 1)
	for name, status := range map[string]int{"": 401, "teapot": 418, "panic": 403} {
		p := s.connect()
		p.write(request("/ws", "X-User: "+name))
		if r := p.response(); r.StatusCode != status {
			t.Errorf("%q: %s", name, r.Status)
		}
	}
	late := waiting[7]
	s.sleep(s.cfg.HandshakeTimeout)
	if r := late.response(); r.StatusCode != 408 {
		t.Error(r.Status)
	}
	close(release)
	s.until("the workers are back", func(st Stats) bool { return st.ActionsLate == 9 })
}

// TestVerifyNewcomers: newcomers whose tokens take long wait for one worker of their
// loop, and who is there already does not notice. When no worker is free it is 503.
func TestVerifyNewcomers(t *testing.T) {
	m, entered, release, atOnce := stuckMux()
	dispatch.Auth(m)
	s := start(t, Config{Mux: m, Loops: 1, Auth: AuthOptional, TokenFrom: []string{TokenHeader, TokenQuery}})
	other := s.dial()
	var peers []*peer
	for range 20 {
		p := s.connect()
		p.write(request("/ws", bearer("bob")) + text(whoBob + "")[:3])
		peers = append(peers, p)
	}
	<-entered
	other.alive()
	eventually(t, says("all wait"), func() bool { return s.Stats().Clients.Joining == 20 })
	peers[3].reset()
	peers[4].Close()
	s.each(func(l *loop) {
		l.pooled.checks, l.pooled.looking = append(l.pooled.checks, make([]check, checksAtOnce)...), 1
	})
	full := s.connect()
	full.write(request("/ws", bearer("eve")))
	if r := full.response(); r.StatusCode != 503 || r.Header.Get("Retry-After") == "" {
		t.Error(r.Status)
	}
	s.each(func(l *loop) { l.pooled.checks = l.pooled.checks[:len(l.pooled.checks)-checksAtOnce] })
	close(release)
	for i, p := range peers {
		if i == 3 || i == 4 {
			continue
		}
		if r := p.response(); r.StatusCode != 101 {
			t.Fatal(r.Status)
		}
		p.write(text(whoBob)[3:])
		p.expect(good(`"bob"`, "who"))
	}
	if n := atOnce.Load(); n != 1 {
		t.Errorf("%d workers at once", n)
	}
}
