package admin

import (
	"sync"
	"time"

	"wsd/host"
)

// resources reads the usage, not more often than it is worth: before Linux 6.2
// the descriptors have to be counted, and there may be a million.
type resources struct {
	read func() host.Usage

	mu    sync.Mutex
	last  host.Usage
	until time.Time // when last is too old
}

func newResources() *resources {
	return &resources{read: func() host.Usage { return host.ReadUsage("/") }}
}

// now is the usage as of a second ago at most, or ten times as long as reading
// it takes.
func (s *resources) now() host.Usage {
	s.mu.Lock()
	defer s.mu.Unlock()
	if began := time.Now(); !began.Before(s.until) {
		s.last = s.read()
		s.until = time.Now().Add(max(time.Second, 10*time.Since(began)))
	}
	return s.last
}
