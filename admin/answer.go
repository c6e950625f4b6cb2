package admin

import (
	"encoding/json"
	"net/http"
)

// answer writes v as JSON, on one line.
func answer(w http.ResponseWriter, status int, v any) { write(w, "application/json", status, v) }

// problem writes an error as RFC 9457 has it. The detail says what to do.
func problem(w http.ResponseWriter, status int, detail string) {
	write(w, "application/problem+json", status, problemOf(status, detail))
}

// described is an error as RFC 9457 has it.
type described struct {
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail"`
}

func problemOf(status int, detail string) described {
	return described{http.StatusText(status), status, detail}
}

func write(w http.ResponseWriter, contentType string, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		panic(err) // only our own structs come here
	}
	w.Header().Set("Content-Type", contentType)
	w.WriteHeader(status)
	// The caller may be gone; then nobody is left to tell.
	_, _ = w.Write(append(body, '\n'))
}
