package admin

import (
	"fmt"
	"net/http"

	"wsd/host"
	"wsd/server"
)

// state is the answer to a health check.
type state struct {
	Status string `json:"status"`
	// Cluster is connected or partitioned; "": the server is in none. Clients are
	// welcome in any case.
	Cluster string `json:"cluster,omitempty"`
}

// healthz says that the process answers.
func (a *api) healthz(w http.ResponseWriter, _ *http.Request) {
	answer(w, http.StatusOK, state{Status: "ok"})
}

// readyz says whether clients should be sent here: not while the server
// starts, drains or is full, nor when memory or descriptors run short.
func (a *api) readyz(w http.ResponseWriter, _ *http.Request) {
	if err := a.ready(); err != nil {
		problem(w, http.StatusServiceUnavailable, err.Error())
		return
	}
	s := state{Status: "ready"}
	if a.cluster != nil {
		if s.Cluster = "connected"; a.cluster.Totals().Partitioned() {
			s.Cluster = "partitioned"
		}
	}
	answer(w, http.StatusOK, s)
}

func (a *api) ready() error {
	if err := a.backend.Ready(); err != nil {
		return err
	}
	limits := a.backend.Limits()
	return shortage(a.resources.now(), limits)
}

// shortMemory is the part of the memory that has to be available: below it,
// the next reconnect storm or publish may be what the kernel kills for.
const shortMemory = 1.0 / 32

// shortage is an error if memory or descriptors run short. Clients cannot use
// up the reserve of descriptors; when half of it is gone, something else does.
func shortage(u host.Usage, limits server.Limits) error {
	if u.MemoryAvailable >= 0 && u.MemoryLimit > 0 && float64(u.MemoryAvailable) < shortMemory*float64(u.MemoryLimit) {
		return fmt.Errorf("short of memory: %d of %d MiB are available", u.MemoryAvailable>>20, u.MemoryLimit>>20)
	}
	if u.Descriptors >= 0 && u.Descriptors > int64(limits.Descriptors-limits.Spare()/2) {
		return fmt.Errorf("short of descriptors: %d of %d are in use", u.Descriptors, limits.Descriptors)
	}
	return nil
}

// totals is the answer of /v1/stats.
type totals struct {
	server.Stats
	Admin      adminTotals `json:"admin"`
	LogDropped uint64      `json:"log_lines_dropped"`
	Process    usage       `json:"process"`
}

// usage is what the process takes, beside what it may take.
type usage struct {
	host.Usage
	DescriptorLimit int `json:"descriptors_limit"`
}

// adminTotals tell of the admin side's own connections and requests.
type adminTotals struct {
	Connections int    `json:"connections"`
	Evicted     uint64 `json:"connections_evicted"`
	Refused     uint64 `json:"requests_refused"`
}

func (a *api) stats(w http.ResponseWriter, r *http.Request) {
	if q, err := query(r, "cluster"); a.cluster != nil && err == nil && q["cluster"] == "true" {
		a.statsOfAll(w, r)
		return
	}
	own := adminTotals{a.conns.open(), a.conns.evicted.Load(), a.conns.refused.Load()}
	answer(w, http.StatusOK, totals{a.backend.Stats(), own, a.logDropped(), usage{a.resources.now(), a.backend.Limits().Descriptors}})
}
