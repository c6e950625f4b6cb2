package conn

import (
	"bytes"
	"strings"
	"testing"
)

// requestOf is the request of a handshake with these fields.
func requestOf(t testing.TB, path string, fields ...string) *Request {
	t.Helper()
	r := new(Request)
	if _, _, err := new(Upgrader).Upgrade(AppendRequest(nil, "test", path, [16]byte{}, fields...), nil, r); err != nil {
		t.Fatal(err)
	}
	return r
}

func TestBearer(t *testing.T) {
	for _, c := range []struct {
		fields []string
		token  string
		single bool
	}{
		{nil, "", true},
		{[]string{"Authorization: Bearer abc"}, "abc", true},
		{[]string{"AUTHORIZATION:bearer   abc \t"}, "abc", true},
		{[]string{"Authorization: Basic abc"}, "", true},
		{[]string{"Authorization: Bearer"}, "", true},
		{[]string{"Authorization: Bearerabc"}, "", true},
		{[]string{"Authorization: Bearer\tabc"}, "", true},
		{[]string{"Authorization: Bearer a, Bearer b"}, "a, Bearer b", true}, // which no key has signed
		{[]string{"X-Authorization: Bearer abc", "Authorizatio: Bearer abc"}, "", true},
		{[]string{"Authorization: Bearer abc", "authorization: Bearer abc"}, "abc", false},
		{[]string{"Authorization: Basic x", "Authorization: Bearer abc"}, "abc", false},
	} {
		token, single := requestOf(t, "/ws", c.fields...).Bearer()
		if string(token) != c.token || single != c.single {
			t.Errorf("%q: %q, %v", c.fields, token, single)
		}
	}
}

func TestProtocolToken(t *testing.T) {
	const prefix = "wsd.token."
	for _, c := range []struct {
		fields []string
		token  string
		single bool
	}{
		{nil, "", true},
		{[]string{"Sec-WebSocket-Protocol: chat"}, "", true},
		{[]string{"Sec-WebSocket-Protocol: chat, wsd.token.a.b.c"}, "a.b.c", true},
		{[]string{"Sec-WebSocket-Protocol: wsd.token.a", "sec-websocket-protocol: chat"}, "a", true},
		{[]string{"Sec-WebSocket-Protocol: WSD.TOKEN.a, xwsd.token.b"}, "", true},
		{[]string{"Sec-WebSocket-Protocol: wsd.token.a,wsd.token.a"}, "a", false},
		{[]string{"Sec-WebSocket-Protocol: wsd.token.a", "Sec-WebSocket-Protocol: wsd.token.b"}, "b", false},
	} {
		token, single := requestOf(t, "/ws", c.fields...).ProtocolToken(prefix)
		if string(token) != c.token || single != c.single {
			t.Errorf("%q: %q, %v", c.fields, token, single)
		}
		// It is never agreed to, with or without a list.
		for _, list := range [][]string{nil, {"chat"}, {"wsd.token.a", "chat"}} {
			u := Upgrader{Protocols: list, TokenProtocol: prefix}
			_, out, err := u.Upgrade(AppendRequest(nil, "test", "/ws", [16]byte{}, c.fields...), nil, new(Request))
			if err != nil || strings.Contains(strings.ToLower(string(out)), ": "+prefix) {
				t.Errorf("%q with %q: %s", c.fields, list, out)
			}
		}
	}
}

func TestQueryValue(t *testing.T) {
	for path, want := range map[string]string{"/ws": "", "/ws?token=a": "a", "/ws?x=1&token=a.b-c_&y": "a.b-c_", "/ws?Token=a": "", "/ws?xtoken=a": "", "/ws?token": "",
		"/ws?token=": "", "/ws?%74oken=a": "", "/ws?token=a=b": "a=b"} {
		if value, single := requestOf(t, path).QueryValue("token"); string(value) != want || !single {
			t.Errorf("%s: %q, %v", path, value, single)
		}
	}
	if _, single := requestOf(t, "/ws?token=a&token=a").QueryValue("token"); single {
		t.Error("two are one")
	}
}

// TestProblem: a refusal may be a problem, whose detail is quoted.
func TestProblem(t *testing.T) {
	e := &HTTPError{Status: 401, Reason: `no "token"`, Problem: true, Header: [][2]string{{"WWW-Authenticate", "Bearer"}}}
	out := string(new(Upgrader).Refuse(nil, nil, e))
	body := `{"title":"Unauthorized","status":401,"detail":"no \"token\""}` + "\n"
	if !strings.HasSuffix(out, "\r\n\r\n"+body) || !strings.Contains(out, "Content-Type: application/problem+json\r\n") || !strings.Contains(out, "WWW-Authenticate: Bearer\r\n") {
		t.Error(out)
	}
}

// FuzzCredentials: a token is part of the request, and of one field.
func FuzzCredentials(f *testing.F) {
	f.Add("/ws?token=a&b", "Authorization: Bearer a", "Sec-WebSocket-Protocol: wsd.token.a, b")
	f.Fuzz(func(t *testing.T, path, a, b string) {
		in := AppendRequest(nil, "test", path, [16]byte{}, a, b)
		r := new(Request)
		u := Upgrader{TokenProtocol: "wsd.token."}
		n, out, err := u.Upgrade(in, nil, r)
		if n == 0 || err != nil {
			return
		}
		bearer, _ := r.Bearer()
		protocol, _ := r.ProtocolToken("wsd.token.")
		query, _ := r.QueryValue("token")
		for _, token := range [][]byte{bearer, protocol, query} {
			if bytes.ContainsAny(token, "\r\n") || !bytes.Contains(in[:n], token) {
				t.Errorf("%q of %q", token, in)
			}
		}
		if bytes.ContainsAny(query, "&# ") || bytes.ContainsAny(protocol, ", ") {
			t.Errorf("%q, %q of %q", query, protocol, in)
		}
		if bytes.Contains(bytes.ToLower(out), []byte(": wsd.token.")) {
			t.Errorf("a token is sent back: %q", out)
		}
	})
}
