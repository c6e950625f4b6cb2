package dispatch

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
)

// client is a Client with topics of its own.
type client struct {
	topics   []string
	identity any
}

func (c *client) ID() uuid.UUID { return uuid.MustParse(idA) }
func (c *client) ConnectedAt() time.Time {
	return time.Date(2026, 1, 2, 3, 4, 5, 678_900_000, time.FixedZone("", 3600))
}
func (c *client) RemoteAddr() netip.AddrPort {
	return netip.MustParseAddrPort("192.0.2.1:50000")
}
func (c *client) Topics() []string { return c.topics }

func (c *client) Subscribe(topics ...string) error {
	for _, topic := range topics {
		if topic == "" {
			return &Error{Code: InvalidParams, Msg: "no name"}
		}
		if topic == "secret" {
			return &Error{Code: PermissionDenied}
		}
	}
	c.topics = append(c.topics, topics...)
	slices.Sort(c.topics)
	c.topics = slices.Compact(c.topics)
	return nil
}

func (c *client) Unsubscribe(topics ...string) error {
	c.topics = slices.DeleteFunc(c.topics, func(s string) bool { return slices.Contains(topics, s) })
	return nil
}

func (c *client) Identity() any { return c.identity }

func (c *client) SetIdentity(identity any) error {
	if c.identity != nil && c.identity != identity {
		return &Error{Code: PermissionDenied}
	}
	c.identity = identity
	return nil
}

// exchange runs a request the way a server does, and checks what must hold for every answer.
func exchange(t *testing.T, m *Mux, c Client, msg string) string {
	t.Helper()
	var e Envelope
	code := Parse([]byte(msg), &e)
	var out []byte
	switch a := m.Lookup(e.Action); {
	case code != OK:
		out = AppendAnswer(nil, code, "", nil, e.Action, e.Seq)
	case a == nil:
		out = AppendAnswer(nil, MethodNotFound, "", nil, e.Action, e.Seq)
	default:
		ctx := &Context{Context: t.Context(), Client: c, Envelope: &e}
		const before = "what was there before"
		out, code = a.Call(ctx, []byte(before))
		if !bytes.HasPrefix(out, []byte(before)) {
			t.Fatalf("Call changed what it should append to: %q", out)
		}
		out = out[len(before):]
		if !bytes.HasPrefix(out, fmt.Appendf(nil, `{"code":%d,`, code)) {
			t.Errorf("Call returned code %d with %s", code, out)
		}
		if a.Constant != nil && e.Seq == nil && !bytes.Equal(a.Constant, out) {
			t.Errorf("constant %s, but Call answers %s", a.Constant, out)
		}
		if ctx.Identity != nil {
			t.Error("the identity stayed in the context")
		}
	}
	if !json.Valid(out) || !utf8.Valid(out) {
		t.Errorf("not JSON in UTF-8: %q", out)
	}
	return string(out)
}

// TestProtocol is the protocol as its clients see it.
func TestProtocol(t *testing.T) {
	m := quiet(NewMux())
	Builtins(m)
	c := new(client)
	const bad = `{"code":1,"msg":"invalid params","data":null,"actioncode":`
	for _, tt := range []struct{ msg, want string }{
		{`{"actioncode":"heart_beat"}`, `{"code":0,"msg":"success","data":true,"actioncode":"heart_beat"}`},
		{`{"actioncode":"heart_beat","data":{"any":"thing"},"token":"x","company":"y"}`, `{"code":0,"msg":"success","data":true,"actioncode":"heart_beat"}`},
		{`{"actioncode":"heart_beat","seq":7}`, `{"code":0,"msg":"success","data":true,"actioncode":"heart_beat","seq":7}`},
		{`{"actioncode":"heart\u005fbeat","seq":"a\"b"}`, `{"code":0,"msg":"success","data":true,"actioncode":"heart_beat","seq":"a\"b"}`},
		{`{"actioncode":"echo","data": { "a" : [1 ,2e3] } }`, `{"code":0,"msg":"success","data":{ "a" : [1 ,2e3] },"actioncode":"echo"}`},
		{`{"actioncode":"echo","data":"<é>"}`, `{"code":0,"msg":"success","data":"<é>","actioncode":"echo"}`},
		{`{"actioncode":"echo"}`, `{"code":0,"msg":"success","data":null,"actioncode":"echo"}`},
		{`{"actioncode":"echo","data":null}`, `{"code":0,"msg":"success","data":null,"actioncode":"echo"}`},
		{"{\"actioncode\":\"echo\",\"data\":\"a\xffb\",\"seq\":\"\xfe\"}", `{"code":0,"msg":"success","data":"a` + "\ufffd" + `b","actioncode":"echo","seq":"` + "\ufffd" + `"}`},
		{`{"actioncode":"whoami"}`, `{"code":0,"msg":"success","data":{"client_id":"` + idA + `","connected_at":"2026-01-02T02:04:05.678Z","topics":[]},"actioncode":"whoami"}`},
		{`{"actioncode":"subscribe","data":{"topics":["b","a"]}}`, `{"code":0,"msg":"success","data":["a","b"],"actioncode":"subscribe"}`},
		{`{"actioncode":"subscribe","data":{"topics":["<c>","secret"]}}`, `{"code":9,"msg":"permission denied","data":null,"actioncode":"subscribe"}`},
		{`{"actioncode":"subscribe","data":{"topics":[""]},"seq":1}`, `{"code":1,"msg":"no name","data":null,"actioncode":"subscribe","seq":1}`},
		{`{"actioncode":"subscribe","data":{"topics":"a"}}`, bad + `"subscribe"}`},
		{`{"actioncode":"subscribe","data":["a"]}`, bad + `"subscribe"}`},
		{`{"actioncode":"subscribe"}`, `{"code":0,"msg":"success","data":["a","b"],"actioncode":"subscribe"}`},
		{`{"actioncode":"subscribe","data":{"topics":["<c>"]}}`, `{"code":0,"msg":"success","data":["<c>","a","b"],"actioncode":"subscribe"}`},
		{`{"actioncode":"unsubscribe","data":{"topics":["a","x"]}}`, `{"code":0,"msg":"success","data":["<c>","b"],"actioncode":"unsubscribe"}`},
		{`{"actioncode":"unsubscribe","data":{"topics":["<c>","b"]}}`, `{"code":0,"msg":"success","data":[],"actioncode":"unsubscribe"}`},
		{`{"actioncode":"subscribe","data":{"topics":["a","\ud83d"]}}`, bad + `"subscribe"}`},
		{"{\"actioncode\":\"subscribe\",\"data\":{\"topics\":[\"\xff\"]}}", bad + `"subscribe"}`},
		{`{"actioncode":"subscribe","data":{"topics":["\ufffd","\ud83d\ude00"]}}`, `{"code":0,"msg":"success","data":["` + "\ufffd\",\"😀" + `"],"actioncode":"subscribe"}`},
		{`{"actioncode":"unsubscribe","data":{"topics":["\udc00"]}}`, bad + `"unsubscribe"}`},
		{"{\"actioncode\":\"unsubscribe\",\"data\":{\"topics\":[\"\xed\xa0\xbd\"]}}", bad + `"unsubscribe"}`},
		{`{"actioncode":"unsubscribe","data":{"topics":["\uFFFD"]}}`, `{"code":0,"msg":"success","data":["😀"],"actioncode":"unsubscribe"}`},
		{`{"actioncode":"echo","data":"\ud83d"}`, `{"code":0,"msg":"success","data":"\ud83d","actioncode":"echo"}`},
		{`{"actioncode":"heart_beat","client_ids":["\ud83d"]}`, bad + `"heart_beat"}`},
		{`{"actioncode":"HeartBeat"}`, `{"code":5,"msg":"method not found","data":null,"actioncode":"HeartBeat"}`},
		{`{"actioncode":"a\"b\\\n\u0001é","seq":7}`, `{"code":5,"msg":"method not found","data":null,"actioncode":"a\"b\\\n\u0001é","seq":7}`},
		{"{\"actioncode\":\"\xff\"}", `{"code":5,"msg":"method not found","data":null,"actioncode":"` + "\ufffd" + `"}`},
		{`no JSON`, bad + `""}`},
		{`{"actioncode":"echo","seq":7,"token":[]}`, bad + `"echo","seq":7}`},
	} {
		if got := exchange(t, m, c, tt.msg); got != tt.want {
			t.Errorf("%s\n got %s\nwant %s", tt.msg, got, tt.want)
		}
	}
}

func quiet(m *Mux) *Mux {
	m.Logger = slog.New(slog.DiscardHandler)
	return m
}

// recorder collects what is logged.
func recorder(m *Mux) *bytes.Buffer {
	log := new(bytes.Buffer)
	m.Logger = slog.New(slog.NewJSONHandler(log, &slog.HandlerOptions{Level: slog.LevelInfo}))
	return log
}

func TestHandlersErrors(t *testing.T) {
	for _, tt := range []struct {
		err  error
		code Code
		msg  string
	}{
		{&Error{Code: PermissionDenied}, 9, "permission denied"},
		{&Error{Code: 100, Msg: "too <late>\n"}, 100, "too <late>\n"},
		{&Error{Code: 101}, 101, "error"},
		{fmt.Errorf("wrapped: %w", &Error{Code: InvalidParams, Msg: "no room"}), 1, "no room"},
		{&Error{Code: OK, Msg: "an error is no success"}, 4, "system exception"},
		{(*Error)(nil), 4, "system exception"},
		{errors.New("password is hunter2"), 4, "system exception"},
		{context.DeadlineExceeded, 10, "busy"},
		{fmt.Errorf("backend: %w", context.Canceled), 10, "busy"},
		{ErrTokenExpired, 7, "token expired"},
		{&Error{Code: 102, Msg: "\xff"}, 102, "\ufffd"},
	} {
		m := quiet(NewMux())
		Handle(m, "fail", func(*Context, struct{}) (int, error) { return 5, tt.err })
		got := exchange(t, m, nil, `{"actioncode":"fail","seq":1}`)
		text, _ := json.Marshal(tt.msg)
		var want, have map[string]any
		_ = json.Unmarshal(fmt.Appendf(nil, `{"code":%d,"msg":%s,"data":null,"actioncode":"fail","seq":1}`, tt.code, text), &want)
		_ = json.Unmarshal([]byte(got), &have)
		if fmt.Sprint(have) != fmt.Sprint(want) {
			t.Errorf("%v: got %s", tt.err, got)
		}
	}
}

func TestPanicIsAnsweredAndLoggedOnce(t *testing.T) {
	m := NewMux()
	log := recorder(m)
	Handle(m, "explode", func(_ *Context, n int) (int, error) { return 1 / n, nil })
	const want = `{"code":4,"msg":"system exception","data":null,"actioncode":"explode","seq":3}`
	for range 3 {
		if got := exchange(t, m, nil, `{"actioncode":"explode","seq":3,"data":0}`); got != want {
			t.Errorf("got %s", got)
		}
	}
	if got := exchange(t, m, nil, `{"actioncode":"explode","data":1}`); got != `{"code":0,"msg":"success","data":1,"actioncode":"explode"}` {
		t.Errorf("after the panics: %s", got)
	}
	if n := m.Lookup([]byte("explode")).panics.Load(); n != 3 {
		t.Errorf("%d panics counted, want 3", n)
	}
	if lines := strings.Count(log.String(), "\n"); lines != 1 || !strings.Contains(log.String(), "call_test.go") || !strings.Contains(log.String(), "divide by zero") {
		t.Errorf("want one line with a stack, got %s", log)
	}
}

// explosive panics when it is encoded, half way through the answer.
type explosive struct{}

func (explosive) MarshalJSON() ([]byte, error) { panic("no") }

func TestPanicWhileEncoding(t *testing.T) {
	m := quiet(NewMux())
	Handle(m, "explode", func(*Context, struct{}) ([]any, error) { return []any{1, explosive{}}, nil })
	Handle(m, "list", func(*Context, struct{}) ([]any, error) { return []any{1, "<"}, nil })
	for range 5 {
		if got := exchange(t, m, nil, `{"actioncode":"explode"}`); got != `{"code":4,"msg":"system exception","data":null,"actioncode":"explode"}` {
			t.Errorf("got %s", got)
		}
		if got := exchange(t, m, nil, `{"actioncode":"list"}`); got != `{"code":0,"msg":"success","data":[1,"<"],"actioncode":"list"}` {
			t.Errorf("got %s", got)
		}
	}
}

// sore is an error that cannot be printed.
type sore struct{}

func (*sore) Error() string { panic("sore") }

// What a handler fails with may be anything; telling the log about it must not fail again.
func TestLoggingSurvives(t *testing.T) {
	for _, err := range []error{&sore{}, (*sore)(nil), (*Error)(nil), fmt.Errorf("wrapped: %w", &sore{})} {
		for _, raise := range []bool{false, true} {
			m := NewMux()
			log := recorder(m)
			Handle(m, "fail", func(*Context, struct{}) (int, error) {
				if raise {
					panic(err)
				}
				return 0, err
			})
			if got := exchange(t, m, nil, `{"actioncode":"fail"}`); !strings.HasPrefix(got, `{"code":4,`) || log.Len() == 0 {
				t.Errorf("answer %s, log %s", got, log)
			}
		}
	}
}

func TestFailureIsLoggedNotSent(t *testing.T) {
	m := NewMux()
	log := recorder(m)
	Handle(m, "fail", func(*Context, struct{}) (int, error) { return 0, errors.New("password is hunter2") })
	for range 100 {
		if got := exchange(t, m, nil, `{"actioncode":"fail"}`); strings.Contains(got, "hunter2") {
			t.Errorf("sent: %s", got)
		}
	}
	if lines := strings.Count(log.String(), "\n"); lines != 1 || !strings.Contains(log.String(), "hunter2") {
		t.Errorf("want one line, got %s", log)
	}
}

func TestTokens(t *testing.T) {
	m := quiet(NewMux())
	who := func(ctx *Context, _ struct{}) (any, error) { return ctx.Identity, nil }
	Handle(m, "who", who, Token(), Inline())
	Handle(m, "open", who)
	answer := func(code int, msg, data, action string) string {
		return fmt.Sprintf(`{"code":%d,"msg":%q,"data":%s,"actioncode":%q}`, code, msg, data, action)
	}
	check := func(msg, want string) {
		t.Helper()
		if got := exchange(t, m, nil, msg); got != want {
			t.Errorf("%s\n got %s\nwant %s", msg, got, want)
		}
	}
	check(`{"actioncode":"who","token":"ann"}`, answer(6, "token invalid", "null", "who"))
	m.Authenticate = func(ctx *Context, token []byte) (any, error) {
		switch string(token) {
		case "ann":
			return "Ann", nil
		case "old":
			return nil, ErrTokenExpired
		case "down":
			return nil, fmt.Errorf("key server: %w", context.DeadlineExceeded)
		case "panic":
			panic("no")
		case "":
			t.Error("asked about an empty token")
		}
		return nil, ErrTokenInvalid
	}
	check(`{"actioncode":"who","token":"ann"}`, answer(0, "success", `"Ann"`, "who"))
	check(`{"actioncode":"who","token":"bob"}`, answer(6, "token invalid", "null", "who"))
	check(`{"actioncode":"who","token":"old"}`, answer(7, "token expired", "null", "who"))
	check(`{"actioncode":"who","token":""}`, answer(8, "token empty", "null", "who"))
	check(`{"actioncode":"who"}`, answer(8, "token empty", "null", "who"))
	check(`{"actioncode":"who","token":"down"}`, answer(10, "busy", "null", "who"))
	check(`{"actioncode":"who","token":"panic"}`, answer(4, "system exception", "null", "who"))
	check(`{"actioncode":"open","token":"ann"}`, answer(0, "success", "null", "open"))
	check(`{"actioncode":"open"}`, answer(0, "success", "null", "open"))

	// A client that the handshake knows needs no token in each request, but a bad one is still refused.
	for _, tt := range []struct {
		token, want string
	}{{"", `"success","data":"Eve"`}, {"ann", `"success","data":"Ann"`}, {"bob", "token invalid"}} {
		ctx := &Context{Context: t.Context(), Envelope: &Envelope{Token: []byte(tt.token)}, Identity: "Eve"}
		out, _ := m.Lookup([]byte("who")).Call(ctx, nil)
		if !strings.Contains(string(out), tt.want) || ctx.Identity != "Eve" {
			t.Errorf("token %q: %s, then identity %v", tt.token, out, ctx.Identity)
		}
	}
}

func TestCodes(t *testing.T) {
	if code, msg := CodeOf(nil); code != OK || msg != "" {
		t.Errorf("no error is answered by %d, %q", code, msg)
	}
	if got := (&Error{Code: Busy}).Error(); got != "code 10: busy" {
		t.Errorf("got %q", got)
	}
	if got := (&Error{Code: 100, Msg: "late"}).Error(); got != "code 100: late" {
		t.Errorf("got %q", got)
	}
	for code, want := range map[Code]string{OK: "success", InvalidParams: "invalid params", SystemException: "system exception", MethodNotFound: "method not found",
		TokenInvalid: "token invalid", TokenExpired: "token expired", TokenEmpty: "token empty", PermissionDenied: "permission denied", Busy: "busy"} {
		if got := code.Msg(); got != want {
			t.Errorf("code %d is %q, want %q", code, got, want)
		}
	}
}

// Pooled actions run side by side: nothing that they share may be theirs alone. (For the race detector.)
func TestCallsSideBySide(t *testing.T) {
	m := quiet(NewMux())
	Builtins(m)
	Handle(m, "list", func(_ *Context, in []string) ([]string, error) { return in, nil })
	Handle(m, "fail", func(*Context, struct{}) (int, error) { return 0, errors.New("no") })
	Handle(m, "explode", func(*Context, struct{}) (int, error) { panic("no") })
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for n := range 200 {
				data := fmt.Sprintf(`["%d","%d"]`, i, n)
				if got := exchange(t, m, nil, `{"actioncode":"list","data":`+data+`}`); !strings.Contains(got, data) {
					t.Errorf("%s was answered by %s", data, got)
				}
				exchange(t, m, nil, `{"actioncode":"fail"}`)
				exchange(t, m, nil, `{"actioncode":"explode"}`)
			}
		})
	}
	all.Wait()
	if n := m.Lookup([]byte("explode")).panics.Load(); n != 1600 {
		t.Errorf("%d panics counted, want 1600", n)
	}
}
