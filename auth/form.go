package auth

import (
	"bytes"
	"encoding/asn1"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
)

// keyForm says in what form data is a key, public or not, bare or as base64 or
// hexadecimal text; "" if it is in none that is known here. Random bytes look like
// one in less than one of a million.
func keyForm(data []byte) string {
	if form := bareForm(data); form != "" {
		return form
	}
	for _, decoded := range decodings(data) {
		if form := bareForm(decoded); form != "" {
			return form + ", encoded"
		}
	}
	return ""
}

// marks are how some forms begin.
var marks = []struct{ text, form string }{
	{"---- BEGIN SSH2 ", "an SSH key"}, // RFC 4716
	{"PuTTY-User-Key-File-", "a PuTTY key"},
	{"openssh-key-v1\x00", "an OpenSSH private key"},
	{"<RSAKeyValue>", "an XML key"},
	{"\xfe\xed\xfe\xed", "a Java key store"},
	{"\xce\xce\xce\xce", "a Java key store"},
}

func bareForm(data []byte) string {
	switch {
	case bytes.Contains(data, pemBegin):
		return "a PEM key"
	case isDER(data):
		return "a key or certificate in DER"
	case isJSON(data):
		return "JSON, as in a JWK"
	case isSSH(data):
		return "an SSH key"
	}
	text := bytes.TrimSpace(data)
	for _, m := range marks {
		if bytes.HasPrefix(text, []byte(m.text)) {
			return m.form
		}
	}
	return ""
}

// decodings returns what text stands for in each encoding that it may be in. Of a
// JSON Web Token, that is what its header stands for.
func decodings(text []byte) (list [][]byte) {
	text = bytes.Join(bytes.Fields(text), nil)
	text = bytes.Trim(text, `"'`)
	if decoded, err := hex.DecodeString(string(text)); err == nil {
		list = append(list, decoded)
	}
	text, _, _ = bytes.Cut(text, []byte{'.'})
	text = bytes.TrimRight(text, "=")
	for _, encoding := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
		if decoded, err := encoding.DecodeString(string(text)); err == nil {
			list = append(list, decoded)
		}
	}
	return list
}

// isDER tells ASN.1 as all keys, certificates and key stores are: a sequence of
// elements, of which the first is a number, a name or a sequence. Several may stand
// one after the other.
func isDER(data []byte) bool {
	if bytes.HasPrefix(data, []byte{0x30, 0x80, asn1.TagInteger, 1}) {
		return true // PKCS #12 in BER, its length left open
	}
	outer, rest, ok := element(data)
	if !ok || outer.FullBytes[0] != 0x30 {
		return false
	}
	first, others, ok := element(outer.Bytes)
	for len(others) > 0 && ok {
		_, others, ok = element(others)
	}
	if !ok || first.Class != asn1.ClassUniversal {
		return false
	}
	switch first.Tag {
	case asn1.TagInteger, asn1.TagOID, asn1.TagSequence:
		return len(bytes.TrimSpace(rest)) == 0 || isDER(rest)
	}
	return false
}

func element(data []byte) (e asn1.RawValue, rest []byte, ok bool) {
	rest, err := asn1.Unmarshal(data, &e)
	return e, rest, err == nil
}

// isJSON tells one object or array, or several one after the other.
func isJSON(data []byte) bool {
	text := bytes.TrimSpace(data)
	if len(text) == 0 || text[0] != '{' && text[0] != '[' {
		return false
	}
	d := json.NewDecoder(bytes.NewReader(text))
	for {
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return errors.Is(err, io.EOF)
		}
	}
}

// isSSH tells a public key of SSH (RFC 4253, section 6.6), or lines of text that
// hold one, as authorized_keys and known_hosts do.
func isSSH(data []byte) bool {
	if isSSHBlob(data) {
		return true
	}
	for word := range bytes.FieldsSeq(data) {
		blob, _ := base64.StdEncoding.DecodeString(string(word))
		if isSSHBlob(blob) {
			return true
		}
	}
	return false
}

// isSSHBlob tells a key by the name of its algorithm, in front with its length.
func isSSHBlob(blob []byte) bool {
	if len(blob) < 4 {
		return false
	}
	n := binary.BigEndian.Uint32(blob)
	if n == 0 || n > 64 || int(n) > len(blob)-4 {
		return false
	}
	name := blob[4 : 4+n]
	for _, prefix := range []string{"ssh-", "ecdsa-", "sk-", "rsa-sha2-"} {
		if bytes.HasPrefix(name, []byte(prefix)) {
			return true
		}
	}
	return false
}

// hasBOM tells text in UTF-8 or UTF-16 that begins with a byte order mark. The two
// bytes of UTF-16 count only before ASCII: a random secret may begin with them.
func hasBOM(data []byte) bool {
	if bytes.HasPrefix(data, []byte("\xef\xbb\xbf")) {
		return true
	}
	return len(data) >= 4 && (data[0] == 0xff && data[1] == 0xfe && data[3] == 0 || data[0] == 0xfe && data[1] == 0xff && data[2] == 0)
}
