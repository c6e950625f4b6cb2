package conn

import (
	"bytes"
	"encoding/base64"
	"errors"
)

// AppendRequest appends the opening handshake as a client sends it (RFC 6455,
// 4.1). host goes into the Host field, path may have a query; both go out as
// they are. nonce should be random; [CheckResponse] needs it again. Each
// header is one further field, "Name: value".
func AppendRequest(out []byte, host, path string, nonce [16]byte, header ...string) []byte {
	out = append(out, "GET "...)
	out = append(out, path...)
	out = append(out, " HTTP/1.1\r\nHost: "...)
	out = append(out, host...)
	out = append(out, "\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: "...)
	out = base64.StdEncoding.AppendEncode(out, nonce[:])
	for _, h := range header {
		out = append(out, "\r\n"...)
		out = append(out, h...)
	}
	return append(out, "\r\n\r\n"...)
}

// Why a response does not open the connection.
var (
	errNoResponse   = errors.New("conn: response is not HTTP/1.1")
	errLongResponse = errors.New("conn: response header over 8 KiB")
	errResponse     = errors.New("conn: malformed response header")
	errStatus       = errors.New("conn: server did not switch protocols")
	errNotWebSocket = errors.New("conn: response does not upgrade to websocket")
	errProof        = errors.New("conn: wrong Sec-WebSocket-Accept")
	errExtension    = errors.New("conn: server chose an extension that was not offered")
)

// CheckResponse looks for the server's response at the front of in, which is
// all that was received so far.
//
//   - n and err are zero: it is not whole yet, more bytes are needed.
//   - err is nil: the connection is open, in[n:] are frames already.
//   - otherwise there is no connection. status is that of the response if it
//     was one, and n the length of its header, so that in[n:] is what came of
//     its body; both are 0 if it was none.
//
// Which subprotocol was chosen is not looked at: see [ResponseField].
func CheckResponse(in []byte, nonce [16]byte) (n, status int, err error) {
	if !startsLikeHTTP(in) {
		return 0, 0, errNoResponse
	}
	window := in[:min(len(in), DefaultMaxHeader)]
	n, bare := headerEnd(window)
	switch {
	case bare:
		return 0, 0, errResponse
	case n == 0 && len(window) == DefaultMaxHeader:
		return 0, 0, errLongResponse
	case n == 0:
		return 0, 0, nil
	}
	line, fields := cutLine(in[:n-2])
	if status = statusOf(line); status == 0 {
		return 0, 0, errNoResponse
	}
	if status != 101 {
		return n, status, errStatus
	}
	return n, status, checkFields(fields, nonce)
}

// ResponseField returns the value of the first field of that name, in whatever
// case, of a response's header: the n bytes that CheckResponse has found. It is
// nil if there is none, and aliases header.
func ResponseField(header []byte, name string) []byte {
	if len(header) < 4 {
		return nil
	}
	_, fields := cutLine(header[:len(header)-2])
	r := Request{fields: fields}
	return r.Header(name)
}

const versionPrefix = "HTTP/1.1 "

func startsLikeHTTP(in []byte) bool {
	n := min(len(in), len(versionPrefix))
	return string(in[:n]) == versionPrefix[:n]
}

// statusOf reads "HTTP/1.1 101 Reason", the reason optional; 0 is none.
func statusOf(line []byte) int {
	line = line[min(len(line), len(versionPrefix)):]
	if len(line) < 3 || len(line) > 3 && line[3] != ' ' {
		return 0
	}
	status := 0
	for _, c := range line[:3] {
		if !isDigit(c) {
			return 0
		}
		status = status*10 + int(c-'0')
	}
	if status < 100 {
		return 0
	}
	return status
}

// checkFields decides whether a 101 is the answer to our request.
func checkFields(fields []byte, nonce [16]byte) error {
	r := Request{}
	if bad := r.parseFields(fields); bad != nil {
		return errResponse
	}
	var key [keySize]byte
	var proof [28]byte
	base64.StdEncoding.Encode(key[:], nonce[:])
	switch {
	case !r.seen.all(seenUpgrade | seenConnection):
		return errNotWebSocket
	case !bytes.Equal(r.Header("Sec-WebSocket-Accept"), appendAccept(proof[:0], key[:])):
		return errProof
	case r.Header("Sec-WebSocket-Extensions") != nil:
		return errExtension
	}
	return nil
}
