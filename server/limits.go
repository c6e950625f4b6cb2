package server

import (
	"fmt"

	"wsd/netpoll"
)

// Limits are what the process can hold, by its descriptors.
type Limits struct {
	Descriptors int `json:"descriptors"` // RLIMIT_NOFILE
	Reserve     int `json:"reserve"`     // kept for listeners, the admin side, logs, and for saying no
	MaxClients  int `json:"max_clients"` // in force
	Asked       int `json:"asked"`       // what the configuration asked for; 0: as many as possible
}

func limitsFor(asked int) (Limits, error) {
	n, err := netpoll.Descriptors()
	if err != nil {
		return Limits{}, err
	}
	l := Limits{Descriptors: n, Asked: asked}
	l.Reserve = min(max(n/32, 32), 1024)
	room := n - l.Reserve
	if room < 1 {
		return l, fmt.Errorf("the descriptor limit of %d leaves no room for clients: raise it (ulimit -n, LimitNOFILE) to more than %d", n, l.Reserve)
	}
	l.MaxClients = room
	if asked > 0 {
		l.MaxClients = min(asked, room)
	}
	return l, nil
}
