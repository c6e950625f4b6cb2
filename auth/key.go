package auth

import (
	"bytes"
	"crypto"
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
	maxRSABits = 8192 // larger ones make a look long
	maxKeyFile = 64 << 10
)

// Load makes a Verifier of a key file of at most 64 KiB; see New. Errors name
// the file and what to do. A file that others may write, or a secret that they
// may read, gets a line in the log; see WarnExposed.
func Load(file string, log *slog.Logger) (*Verifier, error) {
	keys, err := loadKeys(file, log)
	if err != nil {
		return nil, err
	}
	return newVerifier(Rules{}, keys...), nil
}

func loadKeys(file string, log *slog.Logger) ([]key, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxKeyFile+1))
	if err != nil {
		return nil, err
	}
	if len(text) > maxKeyFile {
		return nil, fmt.Errorf("%s is larger than %d bytes: that is no key", file, maxKeyFile)
	}
	keys, err := parseKeys(text)
	if err != nil {
		return nil, fmt.Errorf("%s %w", file, err)
	}
	WarnExposed(log, file, keys[0].method == jwt.SigningMethodHS256)
	return keys, nil
}

// New makes a Verifier. PEM public keys, with nothing beside them, decide the
// algorithm: RSA means RS256, P-256 means ES256, Ed25519 means EdDSA. Anything
// else is the secret of HS256, at least 32 bytes; when it is text, the line end
// that editors put behind it is not part of it. What looks like a key in another
// form is refused: were it a public one, everybody could make tokens with it as
// the secret. The 32 bare bytes of an Ed25519 key look like nothing. The key is
// copied.
func New(text []byte) (*Verifier, error) {
	keys, err := parseKeys(text)
	if err != nil {
		return nil, err
	}
	return newVerifier(Rules{}, keys...), nil
}

func parseKeys(text []byte) ([]key, error) {
	if hasBOM(text) {
		return nil, errors.New("begins with a byte order mark, which would be a part of the key: save it as plain ASCII")
	}
	if bytes.Contains(text, pemBegin) {
		return parsePublic(text)
	}
	secret := bytes.Clone(trimLineEnd(text))
	if form := keyForm(secret); form != "" {
		return nil, fmt.Errorf("holds %s, which is no secret for HS256: give a public key as PEM "+
			"(openssl pkey -pubout), or a secret of random bytes (openssl rand -base64 48)", form)
	}
	if len(secret) < minSecret {
		return nil, fmt.Errorf("has %d bytes, too few for a secret: "+
			"HS256 needs at least %d random ones (openssl rand -base64 48)", len(secret), minSecret)
	}
	return []key{{key: secret, method: jwt.SigningMethodHS256}}, nil
}

var pemBegin = []byte("-----BEGIN ")

// maxPEMKeys bounds the keys of one file: a token that does not say which is its own
// is tried with several.
const maxPEMKeys = maxTries

// parsePublic reads public keys, one behind the other with nothing but blanks between.
func parsePublic(text []byte) (keys []key, err error) {
	for text = bytes.TrimSpace(text); len(text) > 0; {
		if !bytes.HasPrefix(text, pemBegin) {
			return nil, errors.New("holds something beside its PEM public key that would not count: give the key alone (openssl pkey -pubout)")
		}
		block, rest := pem.Decode(text)
		if block == nil {
			return nil, errors.New("looks like PEM but is damaged: export the key again (openssl pkey -pubout)")
		}
		// Decode passes over what is damaged, to the next block.
		if used := text[:len(text)-len(rest)]; bytes.Count(used, pemBegin) > 1 {
			return nil, errors.New("looks like PEM but is damaged: export the key again (openssl pkey -pubout)")
		}
		if block.Type != "PUBLIC KEY" {
			return nil, fmt.Errorf("holds a PEM %q, not a public key: "+
				"give the PUBLIC KEY alone (openssl pkey -pubout)", block.Type)
		}
		public, err := x509.ParsePKIXPublicKey(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("holds a public key that cannot be read: %w", err)
		}
		k, err := publicKey(public, "")
		if err != nil {
			return nil, fmt.Errorf("holds %w", err)
		}
		if keys = append(keys, k); len(keys) > maxPEMKeys {
			return nil, fmt.Errorf("holds more than %d keys: remove the old ones", maxPEMKeys)
		}
		text = bytes.TrimSpace(rest)
	}
	return keys, nil
}

// publicKey makes a key of a public one. alg is what goes with it, "" the one that is
// usual for its kind.
func publicKey(public any, alg string) (key, error) {
	var fits []jwt.SigningMethod
	switch public := public.(type) {
	case *rsa.PublicKey:
		if bits := public.N.BitLen(); bits < minRSABits || bits > maxRSABits {
			return key{}, fmt.Errorf("an RSA key of %d bits: use at least %d, at most %d", bits, minRSABits, maxRSABits)
		}
		fits = []jwt.SigningMethod{jwt.SigningMethodRS256, jwt.SigningMethodRS384, jwt.SigningMethodRS512,
			jwt.SigningMethodPS256, jwt.SigningMethodPS384, jwt.SigningMethodPS512}
	case *ecdsa.PublicKey:
		if public.Curve != elliptic.P256() {
			return key{}, fmt.Errorf("a key on the curve %s: use P-256 (ES256)", public.Curve.Params().Name)
		}
		fits = []jwt.SigningMethod{jwt.SigningMethodES256}
	case ed25519.PublicKey:
		fits = []jwt.SigningMethod{jwt.SigningMethodEdDSA}
	default:
		return key{}, fmt.Errorf("a public key of a kind (%T) not supported: use RSA, P-256 or Ed25519", public)
	}
	for _, method := range fits {
		if alg == "" || method.Alg() == alg {
			return key{key: public, method: method}, nil
		}
	}
	return key{}, fmt.Errorf("a public key for %s, which does not go with its kind or is not supported", alg)
}

// samePublic compares two public keys.
func samePublic(a, b any) bool {
	k, ok := a.(interface{ Equal(crypto.PublicKey) bool })
	return ok && k.Equal(b)
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
