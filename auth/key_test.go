package auth

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/golang-jwt/jwt/v5"
)

func TestSecretLineEnd(t *testing.T) {
	token := []byte(sign(t, jwt.SigningMethodHS256, secret, jwt.MapClaims{}))
	for _, end := range []string{"", "\n", "\r\n"} {
		if _, err := verifier(t, append(secret[:len(secret):len(secret)], end...)).Verify(token); err != nil {
			t.Errorf("a key ending in %q: %v", end, err)
		}
	}
	binary := append([]byte{0, 255}, secret...)
	binary = append(binary, '\n')
	token = []byte(sign(t, jwt.SigningMethodHS256, binary, jwt.MapClaims{}))
	if _, err := verifier(t, binary).Verify(token); err != nil {
		t.Errorf("a binary key lost its last byte: %v", err)
	}
}

func TestKeyIsCopied(t *testing.T) {
	mine := append([]byte(nil), secret...)
	v := verifier(t, mine)
	clear(mine)
	if _, err := v.Verify([]byte(sign(t, jwt.SigningMethodHS256, secret, jwt.MapClaims{}))); err != nil {
		t.Errorf("the verifier follows its caller's slice: %v", err)
	}
}

func TestBadKeys(t *testing.T) {
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	curve, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(curve)
	if err != nil {
		t.Fatal(err)
	}
	good, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	public := string(publicPEM(t, good.Public()))
	for name, c := range map[string]struct{ key, want string }{
		"empty":                  {"", "openssl rand"},
		"short":                  {"hunter2\n", "has 7 bytes"},
		"damaged":                {"-----BEGIN PUBLIC KEY-----\n%%%", "damaged"},
		"private":                {string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})), `"PRIVATE KEY"`},
		"not a key":              {string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: []byte("x")})), "cannot be read"},
		"small RSA":              {string(publicPEM(t, small.Public())), "1024 bits"},
		"a good one and a small": {public + string(publicPEM(t, small.Public())), "1024 bits"},
		"damaged and good":       {"-----BEGIN PUBLIC KEY-----\n%%%\n-----END PUBLIC KEY-----\n" + public, "damaged"},
		"a secret behind it":     {public + string(secret), "something beside"},
		"a secret before it":     {string(secret) + "\n" + public, "something beside"},
		"a mark before it":       {"\xef\xbb\xbf" + public, "byte order mark"},
		"a mark before a secret": {"\xef\xbb\xbf" + string(secret), "byte order mark"},
		"a secret in UTF-16":     {"\xff\xfe" + strings.Join(strings.Split(string(secret), ""), "\x00") + "\x00", "byte order mark"},
		"a big-endian one":       {"\xfe\xff\x00" + strings.Join(strings.Split(string(secret), ""), "\x00"), "byte order mark"},
		"31 bytes":               {string(secret[:31]) + "\n", "has 31 bytes"},
		"P-384":                  {string(publicPEM(t, curve.Public())), "P-384"},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "key")
			if err := os.WriteFile(file, []byte(c.key), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := Load(file, slog.New(slog.DiscardHandler))
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), file) {
				t.Errorf("got %v; want the file's name and %q", err, c.want)
			}
		})
	}
	if _, err := Load(filepath.Join(t.TempDir(), "none"), slog.New(slog.DiscardHandler)); err == nil {
		t.Error("a missing file was loaded")
	}
	if _, err := Load("/dev/zero", slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), "larger") {
		t.Errorf("an endless file: %v", err)
	}
}
