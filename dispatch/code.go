package dispatch

import (
	"context"
	"errors"
	"strconv"
)

// Code is the result of a request as its client sees it.
type Code int

// The codes of the protocol. Applications may use numbers of their own from 100 on.
const (
	OK               Code = 0  // done
	InvalidParams    Code = 1  // not a JSON object, no actioncode, or a field of the wrong type
	SystemException  Code = 4  // the handler panicked or failed
	MethodNotFound   Code = 5  // no such action
	TokenInvalid     Code = 6  // the action needs a token, and this one is not accepted
	TokenExpired     Code = 7  // the token was good once
	TokenEmpty       Code = 8  // the action needs a token, and there is none
	PermissionDenied Code = 9  // the client may not do this
	Busy             Code = 10 // workers or backend are saturated or timed out; trying again may help
)

// Msg is the text that goes with the code in an answer.
func (c Code) Msg() string {
	switch c {
	case OK:
		return "success"
	case InvalidParams:
		return "invalid params"
	case SystemException:
		return "system exception"
	case MethodNotFound:
		return "method not found"
	case TokenInvalid:
		return "token invalid"
	case TokenExpired:
		return "token expired"
	case TokenEmpty:
		return "token empty"
	case PermissionDenied:
		return "permission denied"
	case Busy:
		return "busy"
	}
	return "error"
}

// Error is how a handler chooses the code, and if it likes the text, of its answer. Any other error is
// answered as a SystemException, and its text goes to the log, never to the client.
type Error struct {
	Code Code
	Msg  string // what the client reads; empty means Code.Msg()
}

// What Mux.Authenticate returns to refuse a token.
var (
	ErrTokenInvalid = &Error{Code: TokenInvalid}
	ErrTokenExpired = &Error{Code: TokenExpired}
	ErrTokenEmpty   = &Error{Code: TokenEmpty}
)

func (e *Error) Error() string {
	msg := e.Msg
	if msg == "" {
		msg = e.Code.Msg()
	}
	return "code " + strconv.Itoa(int(e.Code)) + ": " + msg
}

// CodeOf says how err is answered: nil is OK, an *Error is what it says, the end of a context is Busy,
// and anything else is a SystemException. An empty msg stands for Code.Msg().
func CodeOf(err error) (code Code, msg string) {
	if err == nil {
		return OK, ""
	}
	if e, ok := errors.AsType[*Error](err); ok && e != nil && e.Code != OK {
		return e.Code, e.Msg
	}
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return Busy, ""
	}
	return SystemException, ""
}
