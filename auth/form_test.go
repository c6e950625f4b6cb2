package auth

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"math/big"
	"strings"
	"testing"
)

// must takes what a call that does not fail returns.
func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// sshWire is a public key as RFC 4253, section 6.6, has it.
func sshWire(name string, parts ...[]byte) []byte {
	out := append(binary.BigEndian.AppendUint32(nil, uint32(len(name))), name...)
	for _, p := range parts {
		out = append(binary.BigEndian.AppendUint32(out, uint32(len(p))), p...)
	}
	return out
}

// TestForeignForms gives keys in all forms but the one that is read: none may
// become a secret, for a public one is known to everybody.
func TestForeignForms(t *testing.T) {
	rsaKey := must(rsa.GenerateKey(rand.Reader, 2048))
	ecKey := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	edPublic, edKey, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	spki := must(x509.MarshalPKIXPublicKey(rsaKey.Public()))
	template := &x509.Certificate{SerialNumber: big.NewInt(1)}
	type store struct { // of PKCS #12: a version and the contents
		Version int
		Content struct {
			Type asn1.ObjectIdentifier
			Data []byte `asn1:"explicit,tag:0"`
		}
	}
	p12 := store{Version: 3}
	p12.Content.Type, p12.Content.Data = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 1}, make([]byte, 100)
	jwk := must(json.Marshal(map[string]string{"kty": "RSA", "n": base64.RawURLEncoding.EncodeToString(rsaKey.N.Bytes()), "e": "AQAB"}))
	sshRSA := sshWire("ssh-rsa", []byte{1, 0, 1}, rsaKey.N.Bytes())
	line := "ssh-rsa " + base64.StdEncoding.EncodeToString(sshRSA) + " ada@example.org\n"

	bare := map[string][]byte{
		"RSA PKIX":          spki,
		"P-256 PKIX":        must(x509.MarshalPKIXPublicKey(ecKey.Public())),
		"Ed25519 PKIX":      must(x509.MarshalPKIXPublicKey(edPublic)),
		"RSA PKCS #1":       x509.MarshalPKCS1PublicKey(&rsaKey.PublicKey),
		"private PKCS #1":   x509.MarshalPKCS1PrivateKey(rsaKey),
		"private SEC 1":     must(x509.MarshalECPrivateKey(ecKey)),
		"private PKCS #8":   must(x509.MarshalPKCS8PrivateKey(edKey)),
		"certificate":       must(x509.CreateCertificate(rand.Reader, template, template, ecKey.Public(), ecKey)),
		"request":           must(x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, ecKey)),
		"PKCS #12":          must(asn1.Marshal(p12)),
		"PKCS #12 in BER":   append([]byte{0x30, 0x80, 2, 1, 3, 0x30, 0x80}, make([]byte, 64)...),
		"two in a row":      append(spki[:len(spki):len(spki)], spki...),
		"JWK":               jwk,
		"JWKS":              []byte(`{"keys": [` + string(jwk) + `]}`),
		"JWK list":          []byte("\n [" + string(jwk) + "]\n"),
		"JWKs, one a line":  []byte(string(jwk) + "\n" + string(jwk) + "\n"),
		"ssh-rsa":           []byte(line),
		"ssh-ed25519":       []byte("ssh-ed25519 " + base64.StdEncoding.EncodeToString(sshWire("ssh-ed25519", edPublic))),
		"ecdsa-sha2":        []byte("ecdsa-sha2-nistp256 " + base64.StdEncoding.EncodeToString(sshWire("ecdsa-sha2-nistp256", make([]byte, 72)))),
		"authorized_keys":   []byte("# of ada\nno-pty,command=\"/bin/true\" " + line),
		"known_hosts":       []byte("[example.org]:22 " + line),
		"SSH bytes":         sshRSA,
		"SSH2":              []byte("---- BEGIN SSH2 PUBLIC KEY ----\nComment: \"x\"\n" + base64.StdEncoding.EncodeToString(sshRSA[:80])),
		"OpenSSH private":   []byte("-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEA\n-----END OPENSSH PRIVATE KEY-----\n"),
		"OpenSSH bytes":     append([]byte("openssh-key-v1\x00"), make([]byte, 64)...),
		"PuTTY":             []byte("PuTTY-User-Key-File-3: ssh-ed25519\nEncryption: none\n"),
		"Java":              append([]byte{0xfe, 0xed, 0xfe, 0xed, 0, 0, 0, 2}, make([]byte, 64)...),
		"XML":               []byte("<RSAKeyValue><Modulus>0123456789abcdef</Modulus></RSAKeyValue>"),
		"PEM with a prefix": []byte("key: -----BEGIN PUBLIC KEY-----\n"),
	}
	if _, err := New(tokenOf(t, plainHeader, "{}")); err == nil {
		t.Error("a token is taken for a key")
	}
	for name, key := range bare {
		wrapped := base64.StdEncoding.EncodeToString(key)
		if len(wrapped) > 64 {
			wrapped = wrapped[:64] + "\n" + wrapped[64:]
		}
		for form, text := range map[string]string{
			"as it is":      string(key),
			"and a line":    string(key) + "\n",
			"in base64":     wrapped + "\n",
			"in base64url":  base64.RawURLEncoding.EncodeToString(key),
			"in quotes":     `"` + base64.StdEncoding.EncodeToString(key) + `"`,
			"in hex":        hex.EncodeToString(key),
			"in capitals":   strings.ToUpper(hex.EncodeToString(key)),
			"in two pieces": hex.EncodeToString(key[:16]) + "\r\n" + hex.EncodeToString(key[16:]),
		} {
			if v, err := New([]byte(text)); err == nil {
				t.Errorf("%s %s is taken for a key (expensive: %v)", name, form, v.Expensive())
			}
		}
	}
}

// TestSecretsAreTaken: what an issuer makes is random, and looks like no key.
func TestSecretsAreTaken(t *testing.T) {
	for range 20_000 {
		random := make([]byte, 48)
		_, _ = rand.Read(random)
		for _, text := range []string{string(random), base64.StdEncoding.EncodeToString(random) + "\n",
			base64.RawURLEncoding.EncodeToString(random), hex.EncodeToString(random)} {
			if _, err := New([]byte(text)); err != nil {
				t.Fatalf("%q: %v", text, err)
			}
		}
	}
	for _, text := range []string{"{a secret that only begins like JSON}", "[another one, in brackets, of 40 bytes]",
		"correct horse battery staple, and then some", `{"a": 1, this is no JSON either, you know`} {
		if _, err := New([]byte(text)); err != nil {
			t.Errorf("%q: %v", text, err)
		}
	}
}
