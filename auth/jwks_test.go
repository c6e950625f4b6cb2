package auth

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/MicahParks/jwkset"
	"github.com/golang-jwt/jwt/v5"
)

var quiet = slog.New(slog.DiscardHandler)

// issuer serves a key set, as Keycloak's certs endpoint does, and counts.
type issuer struct {
	*httptest.Server
	mu      sync.Mutex
	answer  string
	status  int
	fetches atomic.Int64
}

func newIssuer(t testing.TB) *issuer {
	i := &issuer{status: 200}
	i.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		i.fetches.Add(1)
		i.mu.Lock()
		defer i.mu.Unlock()
		w.WriteHeader(i.status)
		_, _ = w.Write([]byte(i.answer))
	}))
	t.Cleanup(i.Close)
	return i
}

func (i *issuer) set(status int, keys ...string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.status, i.answer = status, `{"keys":[`+strings.Join(keys, ",")+`]}`
}

func jwkOf(t testing.TB, public crypto.PublicKey, id, alg, use string) string {
	t.Helper()
	k, err := jwkset.NewJWKFromKey(public, jwkset.JWKOptions{Metadata: jwkset.JWKMetadataOptions{KID: id, ALG: jwkset.ALG(alg), USE: jwkset.USE(use)}})
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(k.Marshal())
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func signedAs(t testing.TB, method jwt.SigningMethod, key any, header map[string]any, claims jwt.MapClaims) []byte {
	t.Helper()
	token := jwt.NewWithClaims(method, claims)
	for name, value := range header {
		token.Header[name] = value
	}
	text, err := token.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return []byte(text)
}

// readAgain has the Verifier read a set that the issuer serves now.
func readAgain(t testing.TB, v *Verifier) {
	t.Helper()
	for _, s := range v.sources {
		v.read(t.Context(), s, quiet)
	}
}

func open(t testing.TB, cfg Config) *Verifier {
	t.Helper()
	if cfg.Log == nil {
		cfg.Log = quiet
	}
	v, err := Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// TestKeySet: keys come and go; a key that is gone verifies nothing more, whatever was
// remembered of its tokens; a set that cannot be read leaves the keys as they are.
func TestKeySet(t *testing.T) {
	a, b := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)), must(rsa.GenerateKey(rand.Reader, 2048))
	keyA, keyB := jwkOf(t, a.Public(), "a", "ES256", "sig"), jwkOf(t, b.Public(), "b", "RS256", "sig")
	es := signedAs(t, jwt.SigningMethodES256, a, map[string]any{"kid": "a"}, jwt.MapClaims{"sub": "ada"})
	rs := signedAs(t, jwt.SigningMethodRS256, b, map[string]any{"kid": "b"}, jwt.MapClaims{"sub": "bob"})
	i := newIssuer(t)
	i.set(200, keyA)
	v := open(t, Config{KeySets: []string{i.URL}})
	check := func(what string, token []byte, want error) {
		t.Helper()
		if _, err := v.Verify(token); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", what, err, want)
		}
	}
	check("the key is there", es, nil)
	i.set(200, keyA, keyB)
	readAgain(t, v)
	check("the old one", es, nil)
	check("a new one", rs, nil)
	if _, ok := v.Cached(rs); !ok {
		t.Error("it is not remembered")
	}
	readAgain(t, v)
	if _, ok := v.Cached(rs); !ok {
		t.Error("the same keys once more, and all tokens are forgotten")
	}
	for status, answer := range map[int]string{500: keyA, 404: "", 301: "", 200: `{"kty":"oct","k":"c2VjcmV0","kid":"b"}`} {
		i.set(status, answer)
		readAgain(t, v)
		check(fmt.Sprint("kept in spite of ", status), rs, nil)
	}
	i.set(200, keyB)
	readAgain(t, v)
	if _, ok := v.Cached(es); ok {
		t.Error("a token is known whose key is gone")
	}
	v.sources[0].asked = time.Now() // no more for now
	check("its key is gone", es, ErrInvalid)
	check("the other stays", rs, nil)
}

// TestUnknownKeys: however many keys tokens name that nobody has, a set is read once
// in five minutes for their sake.
func TestUnknownKeys(t *testing.T) {
	a := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	i := newIssuer(t)
	i.set(200, jwkOf(t, a.Public(), "a", "ES256", "sig"))
	v := open(t, Config{KeySets: []string{i.URL}})
	header := func(kid string) []byte {
		head := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"ES256","kid":"` + kid + `"}`))
		return []byte(head + ".e30." + strings.Repeat("A", 86))
	}
	busy := 0
	for n := range 100_000 {
		switch _, err := v.Verify(header(fmt.Sprint("none", n))); {
		case errors.Is(err, ErrTryAgain):
			busy++
		case !errors.Is(err, ErrInvalid):
			t.Fatal(err)
		}
	}
	for end := time.Now().Add(10 * time.Second); i.fetches.Load() < 2 && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
	}
	if n := i.fetches.Load(); n != 2 || busy == 0 { // one at the start
		t.Errorf("the set was read %d times, %d tokens were to try again", n, busy)
	}
}

// TestKeySetFile: a file serves as well as a URL; and what is no key set is none.
func TestKeySetFile(t *testing.T) {
	a := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	file := filepath.Join(t.TempDir(), "set.json")
	if err := os.WriteFile(file, []byte(`{"keys":[`+jwkOf(t, a.Public(), "a", "", "")+`]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	v := open(t, Config{KeySets: []string{file, "/nowhere/set.json"}})
	if _, err := v.Verify(signedAs(t, jwt.SigningMethodES256, a, nil, jwt.MapClaims{})); err != nil {
		t.Error(err)
	}
	if _, failed := v.Fetches(); failed != 1 {
		t.Errorf("%d failed", failed)
	}
	small := must(rsa.GenerateKey(rand.Reader, 1024))
	for _, set := range []string{"", "null", "[]", `{"keys":[]}`, `{"keys":{}}`, `{"Keys":[1]}`,
		`{"keys":[` + jwkOf(t, small.Public(), "s", "RS256", "sig") + `]}`,
		`{"keys":[` + jwkOf(t, a.Public(), "a", "ES256", "enc") + `]}`,
		`{"keys":[{"kty":"oct","k":"` + base64.RawURLEncoding.EncodeToString(secret) + `","alg":"HS256"}]}`,
		`{"keys":[{"kty":"EC","crv":"P-256","x":"AA","y":"AA"}]}`} {
		if keys, err := parseKeySet([]byte(set)); err == nil {
			t.Errorf("%s: %d keys", set, len(keys))
		}
	}
	for _, where := range []string{"ftp://host/set", "https://", "://"} {
		if _, err := Open(t.Context(), Config{KeySets: []string{where}, Log: quiet}); err == nil {
			t.Errorf("%q is taken for an address", where)
		}
	}
}

// TestAlgorithmIsTheKeys: nothing in a token's header makes another key, or another
// algorithm, of what is configured.
func TestAlgorithmIsTheKeys(t *testing.T) {
	rsaKey, other := must(rsa.GenerateKey(rand.Reader, 2048)), must(rsa.GenerateKey(rand.Reader, 2048))
	dir := t.TempDir()
	file := func(name string, text []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	public := publicPEM(t, rsaKey.Public())
	asked := newIssuer(t)
	asked.set(200, jwkOf(t, other.Public(), "x", "RS256", "sig"))
	v := open(t, Config{Files: []string{file("rsa", public), file("hs", secret)}})
	claims := jwt.MapClaims{"sub": "eve"}
	none := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none"}`)) + ".e30."
	for name, c := range map[string]struct {
		token []byte
		good  bool
	}{
		"the key's":              {signedAs(t, jwt.SigningMethodRS256, rsaKey, nil, claims), true},
		"the secret's":           {signedAs(t, jwt.SigningMethodHS256, secret, nil, claims), true},
		"any kid":                {signedAs(t, jwt.SigningMethodRS256, rsaKey, map[string]any{"kid": "../../etc/passwd"}, claims), true},
		"none":                   {[]byte(none), false},
		"HMAC by the public key": {signedAs(t, jwt.SigningMethodHS256, public, nil, claims), false},
		"HMAC by its DER":        {signedAs(t, jwt.SigningMethodHS256, []byte(strings.TrimSpace(string(public))), nil, claims), false},
		"another of its kind":    {signedAs(t, jwt.SigningMethodPS256, rsaKey, nil, claims), false},
		"kid is a path":          {signedAs(t, jwt.SigningMethodRS256, other, map[string]any{"kid": dir + "/rsa"}, claims), false},
		"kid is a URL":           {signedAs(t, jwt.SigningMethodRS256, other, map[string]any{"kid": asked.URL}, claims), false},
		"kid is a number":        {signedAs(t, jwt.SigningMethodRS256, rsaKey, map[string]any{"kid": 1}, claims), false},
		"jku":                    {signedAs(t, jwt.SigningMethodRS256, other, map[string]any{"jku": asked.URL}, claims), false},
		"jwk":                    {signedAs(t, jwt.SigningMethodRS256, other, map[string]any{"jwk": json.RawMessage(jwkOf(t, other.Public(), "", "", ""))}, claims), false},
		"a long header":          {signedAs(t, jwt.SigningMethodRS256, rsaKey, map[string]any{"x5c": strings.Repeat("x", maxTokenHeader)}, claims), false},
	} {
		if _, err := v.Verify(c.token); (err == nil) != c.good {
			t.Errorf("%s: %v", name, err)
		}
	}
	if n := asked.fetches.Load(); n != 0 {
		t.Errorf("a token had something fetched %d times", n)
	}
}

// TestSeveralKeys: a file of several keys, and several files, all count; and Reload
// takes one away.
func TestSeveralKeys(t *testing.T) {
	var keys []*ecdsa.PrivateKey
	for range 3 {
		keys = append(keys, must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)))
	}
	dir := t.TempDir()
	one, two := filepath.Join(dir, "one"), filepath.Join(dir, "two")
	write := func(file string, keys ...*ecdsa.PrivateKey) {
		var text []byte
		for _, k := range keys {
			text = append(append(text, publicPEM(t, k.Public())...), "\n \n"...)
		}
		if err := os.WriteFile(file, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(one, keys[:2]...)
	write(two, keys[2])
	cfg := Config{Files: []string{one, two}, Log: quiet}
	v := open(t, cfg)
	expect := func(good ...bool) {
		t.Helper()
		for i, k := range keys {
			if _, err := v.Verify(signedAs(t, jwt.SigningMethodES256, k, nil, jwt.MapClaims{})); (err == nil) != good[i] {
				t.Errorf("key %d: %v", i, err)
			}
		}
	}
	expect(true, true, true)
	write(one, keys[1])
	if err := v.Reload(cfg); err != nil {
		t.Fatal(err)
	}
	expect(false, true, true)
	write(two)
	if err := v.Reload(cfg); err == nil {
		t.Error("an empty file is taken")
	}
	expect(false, true, true)
	for range maxTries {
		cfg.Files = append(cfg.Files, one)
	}
	write(two, keys[2])
	if _, err := Open(t.Context(), cfg); err == nil {
		t.Error("more keys than a token may be tried with")
	}
}

// TestRules: issuer, audience, and clocks that differ.
func TestRules(t *testing.T) {
	v := newVerifier(Rules{Issuers: []string{"i", "j"}, Audiences: []string{"wsd"}, Leeway: 30 * time.Second}, key{key: secret, method: jwtHS256})
	v.now = func() time.Time { return today }
	for claims, want := range map[string]error{
		`{"iss":"i","aud":"wsd"}`:                                 nil,
		`{"iss":"j","aud":["x","wsd"]}`:                           nil,
		`{"iss":"k","aud":"wsd"}`:                                 ErrInvalid,
		`{"aud":"wsd"}`:                                           ErrInvalid,
		`{"iss":"i"}`:                                             ErrInvalid,
		`{"iss":"i","aud":[]}`:                                    ErrInvalid,
		`{"iss":"i","aud":"WSD"}`:                                 ErrInvalid,
		`{"iss":"i","AUD":"wsd"}`:                                 ErrInvalid,
		`{"iss":"i","aud":"wsd","exp":1799999971}`:                nil,
		`{"iss":"i","aud":"wsd","exp":1799999970}`:                ErrExpired,
		`{"iss":"i","aud":"wsd","exp":1799996400}`:                ErrExpired, // an hour off
		`{"iss":"i","aud":"wsd","nbf":1800000030}`:                nil,
		`{"iss":"i","aud":"wsd","nbf":1800000031}`:                ErrInvalid,
		`{"iss":"i","aud":"wsd","iat":1800000030}`:                nil,
		`{"iss":"i","aud":"wsd","iat":1800003600}`:                ErrInvalid, // an hour off
		`{"iss":"i","aud":"wsd","exp":1799999971,"EXP":1,"x":{}}`: nil,
	} {
		if _, err := v.Verify(tokenOf(t, plainHeader, claims)); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", claims, err, want)
		}
	}
}

// TestGrants: the claim "wsd" is read to the letter, and bounded.
func TestGrants(t *testing.T) {
	v := todayVerifier(t)
	c, err := v.Verify(tokenOf(t, plainHeader, `{"sub":"42","jti":"t","iat":1799999999,"wsd":{"topics":["user.42"],"subscribe":["news","user.42.*"],
		"publish":["p"],"actions":["place_*"],"fanout":true,"limit":3,"Limit":9,"other":{"x":1}}}`))
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(c.Subject, c.TokenID, c.Issued.Unix(), c.Fanout, *c.Grants); got !=
		"42t1799999999 true {[user.42] [news user.42.*] [p] [place_*] 3}" {
		t.Error(got)
	}
	long := `"` + strings.Repeat("x", maxItem+1) + `"`
	many := `"x"` + strings.Repeat(`,"x"`, maxItems)
	for _, grants := range []string{`null`, `[]`, `"x"`, `{"topics":"a"}`, `{"topics":null}`, `{"topics":[1]}`, `{"topics":[""]}`, `{"topics":["\ud83d"]}`,
		`{"limit":"3"}`, `{"limit":3.0}`, `{"limit":3e0}`, `{"limit":0}`, `{"limit":-1}`, `{"limit":9223372036854775808}`, `{"limit":1048577}`,
		`{"fanout":1}`, `{"fanout":true,"fanout":true}`, `{"subscribe":[` + long + `]}`, `{"actions":[` + many + `]}`, `{"publish":{}}`} {
		if c, err := v.Verify(tokenOf(t, plainHeader, `{"sub":"eve","wsd":`+grants+`}`)); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v, %+v", grants, err, c.Grants)
		}
	}
}

// FuzzKeySet: whatever an address serves, there is no panic, no secret, and no key that
// is too weak.
func FuzzKeySet(f *testing.F) {
	a := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	f.Add([]byte(`{"keys":[` + jwkOf(f, a.Public(), "a", "ES256", "sig") + `]}`))
	f.Add([]byte(`{"keys":[{"kty":"RSA","n":"AQAB","e":"AQAB","alg":"HS256"},{"kty":"OKP","crv":"Ed25519","x":""},{"kty":"oct","k":"AAAA"}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		keys, err := parseKeySet(text)
		if (err == nil) != (len(keys) > 0) {
			t.Fatal(err)
		}
		for _, k := range keys {
			if _, secret := k.key.([]byte); secret || k.method.Alg() == "none" || strings.HasPrefix(k.method.Alg(), "HS") {
				t.Fatalf("%T for %s", k.key, k.method.Alg())
			}
			_ = k.method.Verify("x", make([]byte, 64), k.key)
		}
	})
}

// FuzzToken: a token that the secret has not signed is never good, and the header finds
// no other key.
func FuzzToken(f *testing.F) {
	f.Add([]byte("eyJhbGciOiJIUzI1NiJ9.e30.AAAA"), []byte(`{"alg":"HS256","kid":"a"}`))
	f.Fuzz(func(t *testing.T, token, header []byte) {
		v := newVerifier(Rules{}, key{key: secret, method: jwtHS256}, key{id: "a", key: secret[:31], method: jwtHS256})
		if c, err := v.Verify(token); err == nil {
			signed := token[:strings.LastIndexByte(string(token), '.')]
			if _, err := jwt.Parse(string(token), func(*jwt.Token) (any, error) { return secret, nil }); err != nil && !errors.Is(err, jwt.ErrTokenInvalidClaims) {
				t.Errorf("%s was taken: %+v, %v", signed, c, err)
			}
		}
		h, ok := readHeader([]byte(base64.RawURLEncoding.EncodeToString(header)))
		if ok && (h.alg == "" && !json.Valid(header) || len(h.kid) > len(header)*3) {
			t.Errorf("%q: %+v", header, h)
		}
	})
}
