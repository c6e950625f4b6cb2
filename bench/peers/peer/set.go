package peer

import "sync"

// Set is a register of clients, safe for concurrent use; the zero value is
// ready. Libraries that own their clients by event loop keep their own.
type Set[C comparable] struct {
	mu sync.Mutex
	in map[C]struct{}
}

// Add puts c in and counts it as opened.
func (s *Set[C]) Add(c C) {
	Stats.Opened.Add(1)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.in == nil {
		s.in = make(map[C]struct{})
	}
	s.in[c] = struct{}{}
}

// Remove takes c out. Only the first call for a c counts it as closed and
// returns true.
func (s *Set[C]) Remove(c C) bool {
	s.mu.Lock()
	_, had := s.in[c]
	delete(s.in, c)
	s.mu.Unlock()
	if had {
		Stats.Closed.Add(1)
	}
	return had
}

// Send calls send for each client that is in now, outside the lock, and
// counts a false as dropped.
func (s *Set[C]) Send(send func(C) bool) Tally {
	all := s.snapshot()
	t := Tally{Matched: len(all)}
	for _, c := range all {
		if send(c) {
			t.Sent++
		} else {
			t.Dropped++
		}
	}
	return t
}

func (s *Set[C]) snapshot() []C {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]C, 0, len(s.in))
	for c := range s.in {
		all = append(all, c)
	}
	return all
}
