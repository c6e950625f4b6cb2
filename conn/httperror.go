package conn

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
)

// HTTPError is the answer to a request that is not upgraded.
type HTTPError struct {
	Status     int         // 400 to 599
	Reason     string      // the body, one line for a human
	RetryAfter int         // seconds, sent when over 0
	Header     [][2]string // further fields; one with a line break in it is left out
	Problem    bool        // the body is a problem (RFC 9457) that has Reason as its detail
}

func (e *HTTPError) Error() string {
	return strconv.Itoa(e.Status) + " " + e.Reason
}

// Refuse appends e to out as a complete HTTP/1.1 response, after which the
// connection is to be closed. in is as much of the request as came: the answer
// to HEAD has no body (RFC 9110, 9.3.2). 405 says which method is allowed and
// 426 which protocol and version to upgrade to (RFC 9110, 15.5.6 and 15.5.22;
// RFC 6455, 4.4).
func (u *Upgrader) Refuse(in, out []byte, e *HTTPError) []byte {
	out = append(out, "HTTP/1.1 "...)
	out = strconv.AppendInt(out, int64(e.Status), 10)
	out = append(out, ' ')
	out = append(out, http.StatusText(e.Status)...)
	if u.Date != nil {
		out = u.Date(append(out, "\r\nDate: "...))
	}
	out = append(out, "\r\nConnection: "...)
	if e.Status == http.StatusUpgradeRequired {
		out = append(out, "Upgrade, "...)
	}
	out = append(out, "close\r\n"...)
	switch e.Status {
	case http.StatusMethodNotAllowed:
		out = append(out, "Allow: GET\r\n"...)
	case http.StatusUpgradeRequired:
		out = append(out, "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"...)
	}
	if e.RetryAfter > 0 {
		out = append(out, "Retry-After: "...)
		out = strconv.AppendInt(out, int64(e.RetryAfter), 10)
		out = append(out, "\r\n"...)
	}
	for _, h := range e.Header {
		out = appendField(out, h[0], h[1])
	}
	kind, body := "text/plain; charset=utf-8", e.Reason
	if e.Problem {
		kind, body = "application/problem+json", e.problem()
	}
	out = append(append(append(out, "Content-Type: "...), kind...), "\r\nContent-Length: "...)
	out = strconv.AppendInt(out, int64(len(body)+1), 10)
	out = append(out, "\r\n\r\n"...)
	if bytes.HasPrefix(in[emptyLines(in):], head) {
		return out
	}
	out = append(out, body...)
	return append(out, '\n')
}

// problem is the error as a problem of no type of its own (RFC 9457, 4.2.1).
func (e *HTTPError) problem() string {
	text, _ := json.Marshal(struct { // of such fields it always works
		Title  string `json:"title"`
		Status int    `json:"status"`
		Detail string `json:"detail"`
	}{http.StatusText(e.Status), e.Status, e.Reason})
	return string(text)
}

var head = []byte("HEAD ")

func appendField(out []byte, name, value string) []byte {
	if strings.ContainsAny(name, "\r\n") || strings.ContainsAny(value, "\r\n") {
		return out
	}
	out = append(out, name...)
	out = append(out, ": "...)
	out = append(out, value...)
	return append(out, "\r\n"...)
}

// The answers to requests that are not to be upgraded.
var (
	errRequestLine = badRequest("malformed request line")
	errTarget      = badRequest("malformed request target")
	errBareLF      = badRequest("line does not end in CRLF")
	errField       = badRequest("malformed header field")
	errTwice       = badRequest("header field sent twice")
	errHost        = badRequest("missing or malformed Host")
	errBody        = badRequest("a handshake has no body")
	errConnection  = badRequest("Connection does not list Upgrade")
	errKey         = badRequest("missing or malformed Sec-WebSocket-Key")
	errProtocols   = badRequest("malformed Sec-WebSocket-Protocol")
	errExtensions  = badRequest("malformed Sec-WebSocket-Extensions")

	errVersion     = &HTTPError{Status: http.StatusHTTPVersionNotSupported, Reason: "only HTTP/1.1 is spoken here"}
	errLongTarget  = &HTTPError{Status: http.StatusRequestURITooLong, Reason: "request target too long"}
	errExpectation = &HTTPError{Status: http.StatusExpectationFailed, Reason: "no expectation but 100-continue is met here"}
	errTooLong     = &HTTPError{Status: http.StatusRequestHeaderFieldsTooLarge, Reason: "request header too large"}
	errMethod      = &HTTPError{Status: http.StatusMethodNotAllowed, Reason: "only GET is allowed"}
	errRoute       = &HTTPError{Status: http.StatusNotFound, Reason: "not found"}
	errNoUpgrade   = &HTTPError{Status: http.StatusUpgradeRequired, Reason: "this is a WebSocket endpoint, version 13"}
	errWrongHost   = &HTTPError{Status: http.StatusForbidden, Reason: "host not allowed"}
	errOrigin      = &HTTPError{Status: http.StatusForbidden, Reason: "origin not allowed"}
	errRefused     = &HTTPError{Status: http.StatusForbidden, Reason: "not allowed"}
)

func badRequest(reason string) *HTTPError {
	return &HTTPError{Status: http.StatusBadRequest, Reason: reason}
}
