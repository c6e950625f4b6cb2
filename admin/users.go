package admin

import (
	"context"
	"net/http"
)

// userClients is what is told of a user. More: there are others beyond the page.
type userClients struct {
	User    string   `json:"user"`
	Clients []client `json:"clients"`
	More    bool     `json:"more"`
}

func (a *api) oneUser(w http.ResponseWriter, r *http.Request) {
	user := r.PathValue("user")
	_, err := toUsers([]string{user})
	if err == nil {
		_, err = query(r)
	}
	if err != nil {
		problem(w, http.StatusBadRequest, err.Error())
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), askTimeout)
	defer cancel()
	list, err := a.backend.UserClients(ctx, user, pageDefault+1)
	if err != nil {
		problem(w, http.StatusServiceUnavailable, errLoop.Error())
		return
	}
	told := userClients{User: user, Clients: []client{}, More: len(list) > pageDefault}
	for _, in := range list[:min(len(list), pageDefault)] {
		told.Clients = append(told.Clients, newClient(in))
	}
	answer(w, http.StatusOK, told)
}

func (a *api) closeUser(w http.ResponseWriter, r *http.Request) {
	user := r.PathValue("user")
	_, err := toUsers([]string{user})
	closeMany(w, r, err, func(ctx context.Context, code int, reason string) (int, *reached, error) {
		n, err := a.backend.CloseUser(ctx, user, code, reason)
		return n, nil, err
	})
}
