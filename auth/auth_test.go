package auth

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

var secret = []byte("0123456789abcdef0123456789abcdef")

func sign(t testing.TB, method jwt.SigningMethod, key any, claims jwt.MapClaims) string {
	t.Helper()
	token, err := jwt.NewWithClaims(method, claims).SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func publicPEM(t testing.TB, key crypto.PublicKey) []byte {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
}

func verifier(t testing.TB, key []byte) *Verifier {
	t.Helper()
	v, err := New(key)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func at(d time.Duration) int64 { return time.Now().Add(d).Unix() }

func TestSecret(t *testing.T) {
	v := verifier(t, secret)
	hs := func(claims jwt.MapClaims) string { return sign(t, jwt.SigningMethodHS256, secret, claims) }
	good := hs(jwt.MapClaims{"sub": "ada", "fanout": true, "exp": at(time.Hour)})
	parts := strings.Split(good, ".")
	stranger := []byte("another secret of enough bytes, but another")
	other := sign(t, jwt.SigningMethodHS256, stranger, jwt.MapClaims{"sub": "ada"})
	critical := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{})
	critical.Header["crit"] = []string{"exp"}
	crit, err := critical.SignedString(secret)
	if err != nil {
		t.Fatal(err)
	}

	for _, c := range []struct {
		name, token string
		want        Claims
		err         error
	}{
		{"good", good, Claims{Subject: "ada", Fanout: true}, nil},
		{"plain", hs(jwt.MapClaims{"sub": "bob"}), Claims{Subject: "bob"}, nil},
		{"nothing claimed", hs(jwt.MapClaims{}), Claims{}, nil},
		{"expired", hs(jwt.MapClaims{"exp": at(-2 * time.Second)}), Claims{}, ErrExpired},
		{"not yet", hs(jwt.MapClaims{"nbf": at(time.Hour)}), Claims{}, ErrInvalid},
		{"expired before it began", hs(jwt.MapClaims{"nbf": at(time.Hour), "exp": at(-time.Hour)}), Claims{}, ErrInvalid},
		{"expired, forged", sign(t, jwt.SigningMethodHS256, stranger, jwt.MapClaims{"exp": at(-time.Hour)}), Claims{}, ErrInvalid},
		{"another key", other, Claims{}, ErrInvalid},
		{"alg none", sign(t, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, jwt.MapClaims{"sub": "ada"}), Claims{}, ErrInvalid},
		{"stronger alg, same key", sign(t, jwt.SigningMethodHS512, secret, jwt.MapClaims{}), Claims{}, ErrInvalid},
		{"signature cut off", parts[0] + "." + parts[1] + ".", Claims{}, ErrInvalid},
		{"claims swapped", parts[0] + "." + base64.RawURLEncoding.EncodeToString([]byte(`{"sub":"eve"}`)) + "." + parts[2], Claims{}, ErrInvalid},
		{"fanout of a wrong type", hs(jwt.MapClaims{"fanout": "yes"}), Claims{}, ErrInvalid},
		{"critical extension", crit, Claims{}, ErrInvalid},
		{"empty", "", Claims{}, ErrInvalid},
		{"no token at all", "\x00\xff..", Claims{}, ErrInvalid},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := v.Verify([]byte(c.token))
			got.Expires, got.until = time.Time{}, time.Time{} // TestDates has it
			if got != c.want || !errors.Is(err, c.err) {
				t.Errorf("got %+v, %v; want %+v, %v", got, err, c.want, c.err)
			}
		})
	}
}

func TestPublicKeys(t *testing.T) {
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	ecKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	edPublic, edKey, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	claims := jwt.MapClaims{"sub": "ada", "fanout": true}
	tokens := map[string]string{
		"RS256": sign(t, jwt.SigningMethodRS256, rsaKey, claims),
		"ES256": sign(t, jwt.SigningMethodES256, ecKey, claims),
		"EdDSA": sign(t, jwt.SigningMethodEdDSA, edKey, claims),
	}
	for alg, public := range map[string]crypto.PublicKey{"RS256": rsaKey.Public(), "ES256": ecKey.Public(), "EdDSA": edPublic} {
		text := publicPEM(t, public)
		v := verifier(t, text)
		// The classic confusion: the public key, which everybody has, as a secret.
		tokens["HS256 with the public key"] = sign(t, jwt.SigningMethodHS256, text, claims)
		for signed, token := range tokens {
			got, err := v.Verify([]byte(token))
			if want := (Claims{Subject: "ada", Fanout: true}); signed == alg && (got != want || err != nil) {
				t.Errorf("%s: got %+v, %v", alg, got, err)
			}
			if signed != alg && !errors.Is(err, ErrInvalid) {
				t.Errorf("a %s key took a token signed by %s: %v", alg, signed, err)
			}
		}
	}
}

func FuzzVerify(f *testing.F) {
	v, err := New(secret)
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte(sign(f, jwt.SigningMethodHS256, secret, jwt.MapClaims{"sub": "a", "fanout": true})))
	f.Add([]byte("eyJhbGciOiJub25lIn0.e30."))
	f.Add([]byte(".."))
	f.Fuzz(func(t *testing.T, token []byte) {
		claims, err := v.Verify(token)
		if err != nil && claims != (Claims{}) {
			t.Errorf("a refused token still claims %+v", claims)
		}
	})
}

// TestHeaderKept: the header of the last good token is not read again for one that
// begins with the same bytes, decides nothing else, and is not replaced by bad tokens.
func TestHeaderKept(t *testing.T) {
	stranger := []byte("another secret of enough bytes, but another")
	v := newVerifier(Rules{}, key{id: "a", key: secret, method: jwtHS256}, key{id: "b", key: stranger, method: jwtHS256})
	of := func(kid, subject string, key []byte) []byte {
		token := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{"sub": subject})
		token.Header["kid"] = kid
		text, err := token.SignedString(key)
		if err != nil {
			t.Fatal(err)
		}
		return []byte(text)
	}
	for i, c := range []struct {
		token []byte
		kid   string // of the header that is kept afterwards
		good  bool
	}{
		{of("b", "mallory", secret), "", false},
		{of("a", "ada", secret), "a", true},
		{of("a", "bob", secret), "a", true},
		{of("a", "mallory", stranger), "a", false},
		{of("b", "mallory", secret), "a", false},
		{of("b", "cleo", stranger), "b", true},
		{of("a", "mallory", stranger), "b", false},
		{of("c", "mallory", secret), "b", false},
		{of("a", "dora", secret), "a", true},
	} {
		before := v.header.Load()
		if claims, err := v.Verify(c.token); (err == nil) != c.good {
			t.Errorf("%d: %+v, %v; good: %v", i, claims, err, c.good)
		}
		kept := v.header.Load()
		if kept != nil && kept.kid != c.kid || kept == nil && c.kid != "" {
			t.Errorf("%d: header %+v is kept, want %q", i, kept, c.kid)
		}
		if before != nil && before.kid == c.kid && kept != before {
			t.Errorf("%d: the header was read again", i)
		}
	}
}
