package peer

import (
	"encoding/json"
	"io"
	"net/http"
	"sync/atomic"
)

// Stats are the process's totals. Set counts Opened and Closed, Answer and
// Echoed count Messages. A Server that counts by itself is a Counter.
var Stats struct {
	Opened, Closed, Messages atomic.Int64
}

// serveAdmin serves the publisher's side; it returns only with an error.
func serveAdmin(addr string, s Server) error {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/publish", func(w http.ResponseWriter, r *http.Request) { publish(w, r, s) })
	mux.HandleFunc("GET /v1/stats", func(w http.ResponseWriter, _ *http.Request) { stats(w, s) })
	return http.ListenAndServe(addr, mux)
}

func publish(w http.ResponseWriter, r *http.Request, s Server) {
	if !r.URL.Query().Has("all") {
		http.Error(w, "a peer publishes to all clients only: use ?all", http.StatusBadRequest)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, MaxMessage))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	writeJSON(w, s.Publish(body))
}

// Counter is a Server that knows these totals itself.
type Counter interface {
	Totals() (opened, closed, messages int64)
}

func stats(w http.ResponseWriter, s Server) {
	opened, closed, messages := Stats.Opened.Load(), Stats.Closed.Load(), Stats.Messages.Load()
	if c, ok := s.(Counter); ok {
		opened, closed, messages = c.Totals()
	}
	writeJSON(w, map[string]int64{
		"clients":  opened - closed,
		"opened":   opened,
		"closed":   closed,
		"messages": messages,
	})
}

func writeJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	// The status is out already: an error here means the publisher has left.
	_ = json.NewEncoder(w).Encode(v)
}
