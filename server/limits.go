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

// Reserve is how many of so many descriptors are not for clients. wsd/host
// counts by the same rule; a test in cmd/wsd holds the two together.
func Reserve(descriptors int) int { return min(max(descriptors/32, 32), 1024) }

func limitsFor(asked int) (Limits, error) {
	n, err := netpoll.Descriptors()
	if err != nil {
		return Limits{}, err
	}
	l := Limits{Descriptors: n, Asked: asked}
	l.Reserve = Reserve(n)
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
