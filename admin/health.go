package admin

import "net/http"

// state is the answer to a health check.
type state struct {
	Status string `json:"status"`
}

// healthz says that the process answers.
func (a *api) healthz(w http.ResponseWriter, _ *http.Request) {
	answer(w, http.StatusOK, state{"ok"})
}

// readyz says whether clients should be sent here: not while the server
// starts, drains or is overloaded.
func (a *api) readyz(w http.ResponseWriter, _ *http.Request) {
	if err := a.backend.Ready(); err != nil {
		problem(w, http.StatusServiceUnavailable, err.Error())
		return
	}
	answer(w, http.StatusOK, state{"ready"})
}

func (a *api) stats(w http.ResponseWriter, _ *http.Request) {
	answer(w, http.StatusOK, a.backend.Stats())
}
