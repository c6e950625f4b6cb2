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

	own int // of the reserve: what an idle process has open
}

// Spare is the part of the reserve that is not in use while nobody is here: a
// half is for saying no, a quarter for the admin side, a quarter for files.
func (l Limits) Spare() int { return l.Reserve - l.own }

// Reserve is how many of so many descriptors a server of so many loops does not
// give to clients. wsd/host counts by the same rule; a test in cmd/wsd holds the
// two together.
func Reserve(descriptors, loops int) int {
	return max(min(max(descriptors/32, 64), 1024), ownOf(loops)+spareAtLeast)
}

// An idle process has standard streams, listeners, the runtime's and the
// watcher's descriptors open, and a poller for each loop.
const (
	ownAtLeast   = 16
	ownPerLoop   = 5
	spareAtLeast = 20
)

func ownOf(loops int) int { return ownAtLeast + ownPerLoop*loops }

func limitsFor(asked, loops int) (Limits, error) {
	n, err := netpoll.Descriptors()
	if err != nil {
		return Limits{}, err
	}
	l := Limits{Descriptors: n, Asked: asked, Reserve: Reserve(n, loops), own: ownOf(loops)}
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
