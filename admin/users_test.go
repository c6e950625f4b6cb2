package admin

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"wsd/server"
)

// TestUserCalls: a user's name is taken as it is, percent-encoded in the path, and what
// is told of clients has it.
func TestUserCalls(t *testing.T) {
	f := &fake{clients: crowd(2)}
	f.clients[0].User, f.clients[0].Expires = "a/b ü", time.Unix(1_800_000_000, 0)
	base := start(t, f, nil)
	status, _, body := do(t, request{url: base + "/v1/users/a%2Fb%20%C3%BC"})
	if status != 200 || !strings.Contains(body, `"user":"a/b ü","expires_at":"2027-01-15T08:00:00Z"`) || !strings.HasSuffix(body, "],\"more\":false}\n") {
		t.Errorf("%d %s", status, body)
	}
	if status, _, body := do(t, request{url: base + "/v1/users/nobody"}); status != 200 || body != `{"user":"nobody","clients":[],"more":false}`+"\n" {
		t.Errorf("%d %s", status, body)
	}
	if status, _, _ := do(t, request{method: "DELETE", url: base + "/v1/users/ada/clients?code=4001&reason=out"}); status != 200 || f.closes[0] != "user ada 4001 out" {
		t.Errorf("%d %v", status, f.closes)
	}
	if status, _, body := do(t, request{method: "POST", url: base + "/v1/publish/stream", body: `{"user":["ada","bob"],"text":"x"}` + "\n" + `{"user":"ada","topic":"t","text":"x"}` + "\n"}); status != 200 || !strings.Contains(body, "name one kind") {
		t.Errorf("%d %s", status, body)
	}
	if n := len(f.published()); n != 1 {
		t.Errorf("%d published", n)
	}
}

// TestReadRevocation: what is asked for is taken to the letter.
func TestReadRevocation(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	for text, want := range map[string]server.Revocation{
		`{"user":"ada"}`:                         {User: "ada", IssuedBefore: now},
		`{"user":"ada","issued_before":1700000}`: {User: "ada", IssuedBefore: time.Unix(1_700_000, 0)},
		` {"token":"\u0074","until":1800000001}`: {Token: "t", Until: time.Unix(1_800_000_001, 0)},
	} {
		if got, err := readRevocation(strings.NewReader(text), now); err != nil || got != want {
			t.Errorf("%s: %+v, %v", text, got, err)
		}
	}
	for _, text := range []string{``, `[]`, `"x"`, `{"user":"a"} {}`, `{"user":"a"}x`, `{"user":"a","user":"b"}`, `{"USER":"a"}`, `{"user":1}`, `{"user":"\ud83d"}`,
		`{"user":"a","issued_before":"now"}`, `{"user":"a","issued_before":1.5}`, `{"user":"a","issued_before":-1}`, `{"user":"a","issued_before":9223372036854775808}`,
		`{"token":"t","until":1800000000}`, `{"token":"t","until":null}`, `{"token":"t"`, strings.Repeat(" ", maxRevocation+1)} {
		if r, err := readRevocation(strings.NewReader(text), now); err == nil && text != strings.Repeat(" ", maxRevocation+1) {
			t.Errorf("%s: %+v", text, r)
		}
	}
}

// FuzzRevocation: what is taken is one of a user or a token, as JSON has it, and is taken
// the same way when it is written again.
func FuzzRevocation(f *testing.F) {
	f.Add(`{"user":"ada","issued_before":1700000}`)
	f.Add(`{"token":"\u0074","until":1800000001}`)
	now := time.Unix(1_800_000_000, 0)
	f.Fuzz(func(t *testing.T, text string) {
		r, err := readRevocation(strings.NewReader(text), now)
		if err != nil {
			return
		}
		var given map[string]any
		if err := json.Unmarshal([]byte(text), &given); err != nil {
			t.Fatal(err)
		}
		if user, _ := given["user"].(string); user != r.User {
			t.Errorf("%q, JSON has %q", r.User, user)
		}
		if token, _ := given["token"].(string); token != r.Token {
			t.Errorf("%q, JSON has %q", r.Token, token)
		}
		if until, there := given["until"].(float64); there && int64(until) != r.Until.Unix() {
			t.Errorf("%v, JSON has %v", r.Until, until)
		}
	})
}
