package auth

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"unicode"
	"unicode/utf8"

	"github.com/golang-jwt/jwt/v5"
)

// Bounds of a key. RFC 7518 asks for them: 256 bits for HS256 (section 3.2),
// 2048 bits for RS256 (section 3.3).
const (
	minSecret  = 32
	minRSABits = 2048
	maxKeyFile = 64 << 10
)

// Load makes a Verifier of a key file of at most 64 KiB; see New. Errors name
// the file and what to do. A file that others may write, or a secret that they
// may read, gets a line in the log; see WarnExposed.
func Load(file string, log *slog.Logger) (*Verifier, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	key, err := io.ReadAll(io.LimitReader(f, maxKeyFile+1))
	if err != nil {
		return nil, err
	}
	if len(key) > maxKeyFile {
		return nil, fmt.Errorf("%s is larger than %d bytes: that is no key", file, maxKeyFile)
	}
	v, err := New(key)
	if err != nil {
		return nil, fmt.Errorf("%s %w", file, err)
	}
	WarnExposed(log, file, !v.Expensive())
	return v, nil
}

// New makes a Verifier. A PEM public key, with nothing beside it, decides the
// algorithm: RSA means RS256, P-256 means ES256, Ed25519 means EdDSA. Anything
// else is the secret of HS256, at least 32 bytes; when it is text, the line end
// that editors put behind it is not part of it. What looks like a key in another
// form is refused: were it a public one, everybody could make tokens with it as
// the secret. The 32 bare bytes of an Ed25519 key look like nothing. The key is
// copied.
func New(key []byte) (*Verifier, error) {
	if hasBOM(key) {
		return nil, errors.New("begins with a byte order mark, which would be a part of the key: save it as plain ASCII")
	}
	if bytes.Contains(key, pemBegin) {
		return newPublic(key)
	}
	secret := bytes.Clone(trimLineEnd(key))
	if form := keyForm(secret); form != "" {
		return nil, fmt.Errorf("holds %s, which is no secret for HS256: give a public key as PEM "+
			"(openssl pkey -pubout), or a secret of random bytes (openssl rand -base64 48)", form)
	}
	if len(secret) < minSecret {
		return nil, fmt.Errorf("has %d bytes, too few for a secret: "+
			"HS256 needs at least %d random ones (openssl rand -base64 48)", len(secret), minSecret)
	}
	return newVerifier(secret, jwt.SigningMethodHS256), nil
}

var pemBegin = []byte("-----BEGIN ")

func newPublic(text []byte) (*Verifier, error) {
	text = bytes.TrimSpace(text)
	if bytes.Count(text, pemBegin) > 1 {
		return nil, errors.New("holds several PEM blocks, of which one alone would count: give one public key (openssl pkey -pubout)")
	}
	block, rest := pem.Decode(text)
	if block == nil {
		return nil, errors.New("looks like PEM but is damaged: export the key again (openssl pkey -pubout)")
	}
	if block.Type != "PUBLIC KEY" {
		return nil, fmt.Errorf("holds a PEM %q, not a public key: "+
			"give the PUBLIC KEY alone (openssl pkey -pubout)", block.Type)
	}
	if len(rest) > 0 || !bytes.HasPrefix(text, pemBegin) {
		return nil, errors.New("holds something beside its PEM public key that would not count: give the key alone (openssl pkey -pubout)")
	}
	key, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("holds a public key that cannot be read: %w", err)
	}
	switch key := key.(type) {
	case *rsa.PublicKey:
		if bits := key.N.BitLen(); bits < minRSABits {
			return nil, fmt.Errorf("holds an RSA key of %d bits: use at least %d", bits, minRSABits)
		}
		return newVerifier(key, jwt.SigningMethodRS256), nil
	case *ecdsa.PublicKey:
		if key.Curve != elliptic.P256() {
			return nil, fmt.Errorf("holds a key on the curve %s: use P-256 (ES256)", key.Curve.Params().Name)
		}
		return newVerifier(key, jwt.SigningMethodES256), nil
	case ed25519.PublicKey:
		return newVerifier(key, jwt.SigningMethodEdDSA), nil
	}
	return nil, fmt.Errorf("holds a public key of a kind (%T) not supported: use RSA, P-256 or Ed25519", key)
}

// trimLineEnd drops one "\n" or "\r\n" from a key that is text, and nothing
// from one that is not: there a byte 10 at the end is as random as the others.
func trimLineEnd(key []byte) []byte {
	trimmed := bytes.TrimSuffix(bytes.TrimSuffix(key, []byte("\n")), []byte("\r"))
	if len(trimmed) == len(key) || !utf8.Valid(trimmed) {
		return key
	}
	for _, r := range string(trimmed) {
		if !unicode.IsPrint(r) {
			return key
		}
	}
	return trimmed
}
