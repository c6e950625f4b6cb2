package admin

import (
	"context"
	"net/http"

	"wsd/server"
)

// userClients is what is told of a user. More: there are others beyond the page.
type userClients struct {
	User    string   `json:"user"`
	Clients []client `json:"clients"`
	More    bool     `json:"more"`
	*reached
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
	list, reach, err := a.listUser(ctx, user, pageDefault+1)
	if err != nil {
		problem(w, http.StatusServiceUnavailable, errLoop.Error())
		return
	}
	told := userClients{User: user, Clients: []client{}, More: len(list) > pageDefault, reached: reach}
	for _, in := range list[:min(len(list), pageDefault)] {
		told.Clients = append(told.Clients, newClient(in))
	}
	answer(w, http.StatusOK, told)
}

func (a *api) closeUser(w http.ResponseWriter, r *http.Request) {
	user := r.PathValue("user")
	_, err := toUsers([]string{user})
	closeMany(w, r, err, func(ctx context.Context, code int, reason string) (int, *reached, error) {
		if a.cluster == nil {
			n, err := a.backend.CloseUser(ctx, user, code, reason)
			return n, nil, err
		}
		n, all, err := a.cluster.CloseUser(ctx, user, code, reason)
		return n, (*reached)(nil).and(all), err
	})
}

// listUser lists a user's clients, in a cluster those of all nodes.
func (a *api) listUser(ctx context.Context, user string, limit int) (list []server.ClientInfo, reach *reached, err error) {
	if a.cluster == nil {
		list, err = a.backend.UserClients(ctx, user, limit)
		return list, nil, err
	}
	list, all, err := a.cluster.UserClients(ctx, user, limit)
	return list, reach.and(all), err
}
