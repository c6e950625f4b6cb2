package conn

import (
	"crypto/sha1"
	"encoding/base64"
)

// isKey reports whether key is base64 of 16 bytes.
func isKey(key []byte) bool {
	return len(key) == keySize && string(key[22:]) == "==" && allIn(key[:22], charBase64)
}

const (
	keySize = 24
	keySalt = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11" // RFC 6455, 1.3
)

// appendAccept appends the proof that key was read by a WebSocket endpoint.
func appendAccept(out, key []byte) []byte {
	var salted [keySize + len(keySalt)]byte
	copy(salted[:], key)
	copy(salted[keySize:], keySalt)
	sum := sha1.Sum(salted[:])
	return base64.StdEncoding.AppendEncode(out, sum[:])
}

func appendSwitching(out []byte, r *Request) []byte {
	out = append(out, "HTTP/1.1 101 Switching Protocols\r\n"+
		"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "...)
	out = appendAccept(out, r.key)
	if r.Protocol != nil {
		out = append(out, "\r\nSec-WebSocket-Protocol: "...)
		out = append(out, r.Protocol...)
	}
	return append(out, "\r\n\r\n"...)
}
