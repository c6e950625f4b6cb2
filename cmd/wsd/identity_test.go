package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
	"github.com/golang-jwt/jwt/v5"
)

// keySet is the set of one ES256 key, as Keycloak writes it.
func keySet(key *ecdsa.PrivateKey, id string) string {
	number := func(n *big.Int) string { return base64.RawURLEncoding.EncodeToString(n.FillBytes(make([]byte, 32))) }
	point, err := key.PublicKey.Bytes()
	if err != nil {
		panic(err)
	}
	return fmt.Sprintf(`{"keys":[{"kid":%q,"kty":"EC","alg":"ES256","use":"sig","crv":"P-256","x":%q,"y":%q}]}`,
		id, number(new(big.Int).SetBytes(point[1:33])), number(new(big.Int).SetBytes(point[33:])))
}

func esToken(t testing.TB, key *ecdsa.PrivateKey, id string, claims jwt.MapClaims) string {
	t.Helper()
	token := jwt.NewWithClaims(jwt.SigningMethodES256, claims)
	token.Header["kid"] = id
	text, err := token.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// dialAs connects with an Authorization field, and returns the status.
func (r *running) dialAs(authorization string, protocols ...string) (net.Conn, int) {
	r.t.Helper()
	status := 101
	dialer := ws.Dialer{Timeout: patience, Protocols: protocols, OnStatusError: func(code int, _ []byte, _ io.Reader) { status = code }}
	if authorization != "" {
		dialer.Header = ws.HandshakeHeaderHTTP(http.Header{"Authorization": {authorization}})
	}
	c, _, _, err := dialer.Dial(context.Background(), "ws://"+r.listen+"/ws")
	if err != nil && status == 101 {
		r.t.Fatal(err)
	}
	if err == nil {
		r.t.Cleanup(func() { c.Close() })
		_ = c.SetDeadline(time.Now().Add(patience))
	}
	return c, status
}

// TestIdentity is the whole way with the real program: a key set that changes, a token
// in each place, a publish to a user, an upgrade, a revocation.
func TestIdentity(t *testing.T) {
	key := [2]*ecdsa.PrivateKey{}
	for i := range key {
		key[i], _ = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	}
	var serving atomic.Pointer[ecdsa.PrivateKey]
	serving.Store(key[0])
	var fetches atomic.Int64
	issuer := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fetches.Add(1)
		_, _ = io.WriteString(w, keySet(serving.Load(), fmt.Sprintf("%p", serving.Load())))
	}))
	defer issuer.Close()
	token := func(i int, sub string) string {
		return esToken(t, key[i], fmt.Sprintf("%p", key[i]), jwt.MapClaims{"sub": sub, "iss": "i", "aud": "wsd", "jti": "id-" + sub,
			"iat": time.Now().Unix() - 5, "exp": time.Now().Add(time.Hour).Unix(), "wsd": map[string]any{"topics": []string{"user." + sub}}})
	}
	r := serve(t, "--auth=required", "--token-jwks="+issuer.URL, "--token-issuer=i", "--token-audience=wsd", "--token-from=header,protocol,query,message", "--topics=none")
	if _, status := r.dialAs(""); status != 101 { // it may prove it by a message
		t.Error(status)
	}
	if _, status := r.dialAs("Bearer " + token(1, "eve")); status != 503 && status != 401 {
		t.Errorf("an unknown key: %d", status)
	}
	ada, status := r.dialAs("Bearer " + token(0, "ada"))
	if status != 101 {
		t.Fatal(status)
	}
	bob, status := r.dialAs("", "chat", "wsd.token."+token(0, "bob"))
	if status != 101 {
		t.Fatal(status)
	}
	cyd := r.dial("/ws")
	if got := ask(t, cyd, `{"actioncode":"auth","token":"`+token(0, "cyd")+`"}`); !strings.Contains(got, `"user":"cyd"`) {
		t.Error(got)
	}
	for user, c := range map[string]net.Conn{"ada": ada, "bob": bob, "cyd": cyd} {
		if code, body := r.http("POST", "/v1/publish?user="+user, "to "+user); code != 200 || !strings.Contains(body, `"matched":1,`) {
			t.Errorf("%d %s", code, body)
		}
		if got := hear(t, c); got != "to "+user {
			t.Errorf("%s got %s", user, got)
		}
	}
	if got := ask(t, ada, `{"actioncode":"subscribe","data":{"topics":["x"]}}`); !strings.Contains(got, `"code":9`) {
		t.Error(got)
	}
	// The issuer has a new key; the old one's tokens are good for nothing more.
	serving.Store(key[1])
	r.signal(syscall.SIGHUP)
	until(t, "the new key counts", func() bool { _, status := r.dialAs("Bearer " + token(1, "dan")); return status == 101 })
	if _, status := r.dialAs("Bearer " + token(0, "ada")); status == 101 {
		t.Error("a token is taken whose key is gone")
	}
	before := fetches.Load()
	for i := range 50 {
		_, _ = r.dialAs("Bearer " + esToken(t, key[0], fmt.Sprint("unknown-", i), jwt.MapClaims{"sub": "eve"}))
	}
	if n := fetches.Load() - before; n > 1 {
		t.Errorf("unknown keys had the set read %d times", n)
	}
	if code, body := r.http("POST", "/v1/revocations", `{"token":"id-ada"}`); code != 200 || body != `{"closed":1}`+"\n" {
		t.Errorf("%d %s", code, body)
	}
	_, err := wsutil.ReadServerText(ada)
	if closed := new(wsutil.ClosedError); !errors.As(err, closed) || closed.Code != 3000 {
		t.Error(err)
	}
	if code, body := r.http("GET", "/v1/users/bob", ""); code != 200 || !strings.Contains(body, `"user":"bob"`) {
		t.Errorf("%d %s", code, body)
	}
}

// TestNoSecretAnywhere: no token, and no key, is in a log line, a metric, a page, an
// answer or a stack, whatever happens to it.
func TestNoSecretAnywhere(t *testing.T) {
	const secret = "Zq8xkp3vWm5ahYh2sTn7dLr4cFb9eGu6jK"
	r := serve(t, "--log-level=debug", "--auth=required", "--token-from=header,protocol,query,message", "--token-key-file="+writeFile(t, "key", secret),
		"--admin-token-file="+writeFile(t, "admin", "Adm1nTok3nAdm1nTok3n"))
	sign := func(claims jwt.MapClaims) string {
		text, err := jwt.NewWithClaims(jwt.SigningMethodHS256, claims).SignedString([]byte(secret))
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	good := sign(jwt.MapClaims{"sub": "ada", "jti": "t"})
	tokens := []string{good, sign(jwt.MapClaims{"sub": "old", "exp": 1}), good[:len(good)-3] + "AAA", sign(jwt.MapClaims{"sub": "eve", "nbf": time.Now().Unix() + 9999})}
	for _, token := range tokens {
		_, _ = r.dialAs("Bearer " + token)
		_, _ = r.dialAs("", "chat", "wsd.token."+token)
		c := r.dial("/ws")
		_ = ask(t, c, `{"actioncode":"auth","token":"`+token+`"}`)
		answer, err := http.Get("http://" + r.listen + "/ws?token=" + token)
		if err == nil {
			body, _ := io.ReadAll(answer.Body)
			answer.Body.Close()
			if bytes.Contains(body, []byte(token[10:])) {
				t.Errorf("an answer has it: %s", body)
			}
		}
		bad, err := net.Dial("tcp", r.listen)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(bad, "GET /ws?token=%s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nbroken line\r\n\r\n", token, token)
		_, _ = io.ReadAll(bad)
		bad.Close()
	}
	said := map[string]string{}
	for _, path := range []string{"/metrics", "/v1/stats", "/v1/info", "/v1/clients", "/v1/users/ada", "/v1/revocations", "/", "/debug/pprof/goroutine?debug=2", "/debug/pprof/cmdline", "/openapi.json"} {
		q, _ := http.NewRequest("GET", "http://"+r.admin+path, nil)
		q.Header.Set("Authorization", "Bearer Adm1nTok3nAdm1nTok3n")
		answer, err := http.DefaultClient.Do(q)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(answer.Body)
		answer.Body.Close()
		if answer.StatusCode != 200 {
			t.Errorf("%s: %s", path, answer.Status)
		}
		said[path] = string(body)
	}
	r.signal(syscall.SIGQUIT) // the Go runtime writes all stacks, and ends the process
	r.exit()
	said["the log and the stacks"] = r.log.String()
	if !strings.Contains(r.log.String(), "goroutine ") {
		t.Error("there are no stacks")
	}
	secrets := []string{secret, "Adm1nTok3n"}
	for _, token := range tokens {
		parts := strings.Split(token, ".")
		secrets = append(secrets, parts[1], parts[2])
	}
	for place, text := range said {
		for _, s := range secrets {
			if strings.Contains(text, s) {
				t.Errorf("%s has %.8s…", place, s)
			}
		}
	}
}

// TestAuthDocs runs what docs/auth.md has for a shell, and connects with the tokens that
// come of it.
func TestAuthDocs(t *testing.T) {
	for _, program := range []string{"openssl", "xxd", "bash"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skip(err)
		}
	}
	page, err := os.ReadFile("../../docs/auth.md")
	if err != nil {
		t.Fatal(err)
	}
	block := func(mark string) string {
		m := regexp.MustCompile("(?s)```sh\n# " + mark + "\n(.*?)```").FindSubmatch(page)
		if m == nil {
			t.Fatalf("the page has no block %q", mark)
		}
		return string(m[1])
	}
	for mark, flags := range map[string][]string{
		"secret":  {"--token-key-file=secret.key"},
		"key set": {"--token-jwks=certs/jwks.json", "--token-issuer=https://id.example/realms/app", "--token-audience=wsd"},
	} {
		dir := t.TempDir()
		cmd := exec.Command("bash", "-euo", "pipefail", "-c", block(mark))
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", mark, err, out)
		}
		for i, flag := range flags {
			for _, file := range []string{"secret.key", "certs/jwks.json"} {
				flags[i] = strings.ReplaceAll(flag, "="+file, "="+filepath.Join(dir, file))
				flag = flags[i]
			}
		}
		token, err := os.ReadFile(filepath.Join(dir, "ada.token"))
		if err != nil {
			t.Fatal(err)
		}
		r := serve(t, append([]string{"--auth=required", "--token-from=header"}, flags...)...)
		c, status := r.dialAs("Bearer " + strings.TrimSpace(string(token)))
		if status != 101 {
			t.Fatalf("%s: %d: %s", mark, status, r.log)
		}
		if got := ask(t, c, `{"actioncode":"whoami"}`); !strings.Contains(got, `"user":"ada","expires_at":"`) {
			t.Errorf("%s: %s", mark, got)
		}
		if _, status := r.dialAs(""); status != 401 {
			t.Errorf("%s, without: %d", mark, status)
		}
	}
}

// TestIdentityUpgrade: who clients are, what they may and what is revoked is the same
// after upgrades of the real program.
func TestIdentityUpgrade(t *testing.T) {
	secret := strings.Repeat("s", 40)
	l := found(t, "", nil, "--auth=required", "--token-key-file="+writeFile(t, "key", secret), "--actions=none")
	sign := func(claims jwt.MapClaims) string {
		text, err := jwt.NewWithClaims(jwt.SigningMethodHS256, claims).SignedString([]byte(secret))
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	end := time.Now().Add(time.Hour).Unix()
	good := sign(jwt.MapClaims{"sub": "ada", "jti": "a", "exp": end, "wsd": map[string]any{"topics": []string{"t"}, "actions": []string{"echo"}}})
	ada, status := l.dialAs("Bearer " + good)
	if status != 101 {
		t.Fatal(status)
	}
	unproven := l.dial("/ws")
	if code, body := l.http("POST", "/v1/revocations", `{"token":"gone"}`); code != 200 {
		t.Fatal(code, body)
	}
	was := ask(t, ada, `{"actioncode":"whoami"}`)
	for range 2 {
		l.succeed()
		if got := ask(t, ada, `{"actioncode":"whoami"}`); got != was || !strings.Contains(got, `"actions":["echo"]`) {
			t.Errorf("%s\nwas %s", got, was)
		}
		if got := ask(t, ada, `{"actioncode":"echo","data":1}`); !strings.Contains(got, `"code":0`) {
			t.Error(got)
		}
		if got := ask(t, ada, `{"actioncode":"subscribe","data":{}}`); !strings.Contains(got, `"code":9`) {
			t.Error(got)
		}
		if got := ask(t, unproven, `{"actioncode":"heart_beat"}`); !strings.Contains(got, `"code":8`) {
			t.Error(got)
		}
		if _, status := l.dialAs("Bearer " + sign(jwt.MapClaims{"sub": "eve", "jti": "gone"})); status != 401 {
			t.Error(status)
		}
		if code, body := l.http("POST", "/v1/publish?user=ada", "x"); code != 200 || hear(t, ada) != "x" {
			t.Error(code, body)
		}
	}
	if _, body := l.http("POST", "/v1/revocations", `{"token":"a"}`); body != `{"closed":1}`+"\n" {
		t.Error(body)
	}
}
