package server

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"wsd/dispatch"
)

// answer is what a client reads.
func answer(code int, msg, data, action, seq string) string {
	a := fmt.Sprintf(`{"code":%d,"msg":"%s","data":%s,"actioncode":"%s"`, code, msg, data, action)
	if seq != "" {
		a += `,"seq":` + seq
	}
	return a + "}"
}

func good(data, action string) string { return answer(0, "success", data, action, "") }

// testMux has the built-in actions, and some with every way to end, inline and pooled.
func testMux() *dispatch.Mux {
	m := dispatch.NewMux()
	dispatch.Builtins(m)
	m.Authenticate = func(_ *dispatch.Context, token []byte) (any, error) {
		switch name, kind, _ := strings.Cut(string(token), "/"); kind {
		case "":
			return Identity{Subject: name}, nil
		case "fanout":
			return Identity{Subject: name, Fanout: true}, nil
		case "expired":
			return nil, dispatch.ErrTokenExpired
		case "panic":
			panic("in Authenticate")
		}
		return nil, dispatch.ErrTokenInvalid
	}
	for name, opts := range map[string][]dispatch.Option{"": {dispatch.Inline()}, "_pooled": nil} {
		dispatch.Handle(m, "who"+name, func(ctx *dispatch.Context, _ struct{}) (string, error) {
			return ctx.Identity.(Identity).Subject, nil
		}, append(opts, dispatch.Token())...)
		dispatch.Handle(m, "panic"+name, func(*dispatch.Context, struct{}) (int, error) { panic("on purpose") }, opts...)
		dispatch.Handle(m, "fail"+name, func(*dispatch.Context, struct{}) (int, error) { return 0, fmt.Errorf("secret") }, opts...)
		dispatch.Handle(m, "deny"+name, func(*dispatch.Context, struct{}) (int, error) {
			return 0, &dispatch.Error{Code: dispatch.PermissionDenied}
		}, opts...)
		dispatch.Handle(m, "own"+name, func(*dispatch.Context, struct{}) (int, error) {
			return 0, &dispatch.Error{Code: 100, Msg: "mine"}
		}, opts...)
		dispatch.Handle(m, "add"+name, func(_ *dispatch.Context, in []int) (n int, _ error) {
			for _, i := range in {
				n += i
			}
			return n, nil
		}, opts...)
	}
	laterMux(m)
	return m
}

// laterMux adds the same actions, to be answered later: from another goroutine, or
// for some by the handler itself.
func laterMux(m *dispatch.Mux) {
	dispatch.Later(m, "who_later", func(ctx *dispatch.Context, _ struct{}, r dispatch.Reply[string]) error {
		go r.Answer(ctx.Identity.(Identity).Subject, nil)
		return nil
	}, dispatch.Token())
	dispatch.Later(m, "panic_later", func(*dispatch.Context, struct{}, dispatch.Reply[int]) error { panic("on purpose") })
	dispatch.Later(m, "fail_later", func(_ *dispatch.Context, _ struct{}, r dispatch.Reply[int]) error {
		go r.Answer(0, fmt.Errorf("secret"))
		return nil
	})
	dispatch.Later(m, "deny_later", func(*dispatch.Context, struct{}, dispatch.Reply[int]) error {
		return &dispatch.Error{Code: dispatch.PermissionDenied}
	})
	dispatch.Later(m, "own_later", func(_ *dispatch.Context, _ struct{}, r dispatch.Reply[int]) error {
		return r.Answer(0, &dispatch.Error{Code: 100, Msg: "mine"})
	})
	dispatch.Later(m, "add_later", func(_ *dispatch.Context, in []int, r dispatch.Reply[int]) error {
		go func() {
			n := 0
			for _, i := range in {
				n += i
			}
			_ = r.Answer(n, nil)
		}()
		return nil
	})
}

// TestActions goes through the table of codes, for handlers on the loop and in
// the pool alike.
func TestActions(t *testing.T) {
	for name, m := range map[string]*dispatch.Mux{"loop": testMux(), "worker": slowMux()} {
		t.Run(name, func(t *testing.T) { actions(t, m) })
	}
}

func actions(t *testing.T, m *dispatch.Mux) {
	s := start(t, Config{Mux: m})
	p := s.dial()
	for _, c := range []struct{ request, want string }{
		{beat, beating},
		{`{"actioncode":"heart_beat","seq":7}`, answer(0, "success", "true", "heart_beat", "7")},
		{` { "seq" : "a\"b" , "data":{"x":[1]}, "actioncode" : "heart\u005fbeat", "later": null } `, answer(0, "success", "true", "heart_beat", `"a\"b"`)},
		{`{"actioncode":"echo","data": {"a" : [1, "ü"]} }`, good(`{"a" : [1, "ü"]}`, "echo")},
		{`{"actioncode":"echo"}`, good("null", "echo")},
		{`{"actioncode":"echo","data":1,"company":"x","is_broadcast":false,"client_ids":null}`, good("1", "echo")},

		{`{"actioncode":"nope"}`, answer(5, "method not found", "null", "nope", "")},
		{`{"actioncode":"nope","seq":-1}`, answer(5, "method not found", "null", "nope", "-1")},
		{``, answer(1, "invalid params", "null", "", "")},
		{`[]`, answer(1, "invalid params", "null", "", "")},
		{`{"actioncode":`, answer(1, "invalid params", "null", "", "")},
		{`{"data":1}`, answer(1, "invalid params", "null", "", "")},
		{`{"actioncode":"echo","seq":1.5}`, answer(1, "invalid params", "null", "echo", "")},
		{`{"actioncode":"echo","is_broadcast":1,"seq":2}`, answer(1, "invalid params", "null", "echo", "2")},
		{`{"actioncode":"echo","client_ids":"x"}`, answer(1, "invalid params", "null", "echo", "")},
		{`{"actioncode":"` + strings.Repeat("a", 65) + `"}`, answer(1, "invalid params", "null", "", "")},

		{`{"actioncode":"who"}`, answer(8, "token empty", "null", "who", "")},
		{`{"actioncode":"who","token":"x/bad"}`, answer(6, "token invalid", "null", "who", "")},
		{`{"actioncode":"who","token":"x/expired"}`, answer(7, "token expired", "null", "who", "")},
		{`{"actioncode":"who","token":"eve"}`, good(`"eve"`, "who")},
		{`{"actioncode":"who_pooled","seq":1}`, answer(8, "token empty", "null", "who_pooled", "1")},
		{`{"actioncode":"who_pooled","token":"bob"}`, good(`"bob"`, "who_pooled")},

		{`{"actioncode":"panic"}`, answer(4, "system exception", "null", "panic", "")},
		{`{"actioncode":"panic_pooled","seq":"p"}`, answer(4, "system exception", "null", "panic_pooled", `"p"`)},
		{`{"actioncode":"fail"}`, answer(4, "system exception", "null", "fail", "")},
		{`{"actioncode":"fail_pooled"}`, answer(4, "system exception", "null", "fail_pooled", "")},
		{`{"actioncode":"deny"}`, answer(9, "permission denied", "null", "deny", "")},
		{`{"actioncode":"deny_pooled"}`, answer(9, "permission denied", "null", "deny_pooled", "")},
		{`{"actioncode":"own"}`, answer(100, "mine", "null", "own", "")},
		{`{"actioncode":"own_pooled"}`, answer(100, "mine", "null", "own_pooled", "")},
		{`{"actioncode":"who_later","seq":1}`, answer(8, "token empty", "null", "who_later", "1")},
		{`{"actioncode":"who_later","token":"bob","seq":"w"}`, answer(0, "success", `"bob"`, "who_later", `"w"`)},
		{`{"actioncode":"panic_later","seq":3}`, answer(4, "system exception", "null", "panic_later", "3")},
		{`{"actioncode":"fail_later"}`, answer(4, "system exception", "null", "fail_later", "")},
		{`{"actioncode":"deny_later"}`, answer(9, "permission denied", "null", "deny_later", "")},
		{`{"actioncode":"own_later"}`, answer(100, "mine", "null", "own_later", "")},
		{`{"actioncode":"add_later","data":[5,6]}`, good("11", "add_later")},
		{`{"actioncode":"add_later","data":{}}`, answer(1, "invalid params", "null", "add_later", "")},
		{`{"actioncode":"add","data":[1,2]}`, good("3", "add")},
		{`{"actioncode":"add_pooled","data":[3,4]}`, good("7", "add_pooled")},
		{`{"actioncode":"add","data":"x"}`, answer(1, "invalid params", "null", "add", "")},
		{`{"actioncode":"add_pooled","data":{}}`, answer(1, "invalid params", "null", "add_pooled", "")},
	} {
		p.ask(c.request, c.want)
	}
	p.write(frame(2, beat)) // a binary request is answered by text as well
	p.expect(beating)
	p.alive()
	st := s.Stats()
	if st.Actions["heart_beat"][0] != 5 || st.Actions["who"][6] != 1 || st.Actions["panic_pooled"][4] != 1 || st.Actions[""][5] != 2 {
		t.Errorf("counted: %v", st.Actions)
	}
	if st.MessagesIn != st.MessagesOut || st.Actions["own"][100] != 1 {
		t.Errorf("%d messages in, %d out", st.MessagesIn, st.MessagesOut)
	}
	p.leave()
	s.closed(ReasonPeer, 1)
}

// TestWhoAmI checks the client's view of itself, before and after it has topics.
func TestWhoAmI(t *testing.T) {
	s := start(t, Config{Mux: testMux()})
	p := s.dial()
	ask := func() (self struct {
		Code int
		Data dispatch.Self
	}) {
		p.send(`{"actioncode":"whoami"}`)
		if err := json.Unmarshal([]byte(p.recv()), &self); err != nil || self.Code != 0 {
			t.Fatalf("%+v %v", self, err)
		}
		return self
	}
	me := ask()
	if me.Data.ClientID.Version() != 4 || me.Data.ClientID.Variant() != uuid.RFC4122 {
		t.Errorf("id %v is not a random UUID", me.Data.ClientID)
	}
	if me.Data.ConnectedAt.After(time.Now()) || len(me.Data.Topics) != 0 {
		t.Errorf("%+v", me.Data)
	}
	p.ask(`{"actioncode":"subscribe","data":{"topics":["b","a"]}}`, good(`["a","b"]`, "subscribe"))
	if again := ask(); again.Data.ClientID != me.Data.ClientID || strings.Join(again.Data.Topics, ",") != "a,b" {
		t.Errorf("%+v", again.Data)
	}
	if q := s.dial(); q.id() == me.Data.ClientID.String() {
		t.Error("two clients with one id")
	}
}

// TestPipelined: answers to messages that came in one segment come in order,
// whoever answers them.
func TestPipelined(t *testing.T) {
	s := start(t, Config{Mux: testMux()})
	p := s.dial()
	var all, want []string
	for i := range 200 {
		name := []string{"heart_beat", "echo", "add_pooled", "nope", "panic_pooled", "add_later", "own_later"}[i%7]
		seq := fmt.Sprint(i)
		all = append(all, text(fmt.Sprintf(`{"actioncode":"%s","seq":%d,"data":[%d]}`, name, i, i)))
		want = append(want, []string{
			answer(0, "success", "true", name, seq), answer(0, "success", "["+seq+"]", name, seq),
			answer(0, "success", seq, name, seq), answer(5, "method not found", "null", name, seq),
			answer(4, "system exception", "null", name, seq), answer(0, "success", seq, name, seq),
			answer(100, "mine", "null", name, seq),
		}[i%7])
	}
	p.write(strings.Join(all, ""))
	for _, w := range want {
		p.expect(w)
	}
}

// TestEchoPath: every message comes back as it is, with its opcode, in any size.
func TestEchoPath(t *testing.T) {
	s := start(t, Config{EchoPath: "/echo", MaxMessage: 1 << 20})
	p := s.dialPath("/echo?x=1")
	for _, n := range []int{0, 1, 125, 126, 65535, 65536, 1 << 20} {
		payload := strings.Repeat("x", n)
		p.send(payload)
		p.expect(payload)
		p.write(frame(2, payload+"")[:])
		f, err := p.next()
		if err != nil || f.Header.OpCode != 2 || len(f.Payload) != n {
			t.Fatalf("binary of %d: %+v %v", n, f.Header, err)
		}
	}
	q := s.dial()
	q.ask(`{"actioncode":"echo","data":1}`, good("1", "echo"))
}
