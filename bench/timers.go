package bench

// timer is something due for a client. Timers are not cancelled: one whose
// generation is not the client's any more is dropped when it is due.
type timer struct {
	at   int64
	slot uint32
	gen  uint32
	what due
}

// due says what to do when a timer fires.
type due uint8

const (
	dueDeadline due = iota // the handshake has to be done by now
	dueDial                // try to connect again
	dueBeat                // the next heartbeat of this client
	dueDeath               // its life is over (churn)
	dueTrickle             // the next byte of a slow handshake
	dueSlowRead            // the next read of a slow reader
	duePing                // the next ping of a flood
)

// timers is a binary heap, the earliest first. It allocates when it grows.
type timers struct{ heap []timer }

// next is when the earliest timer is due; ok is false if there is none.
func (t *timers) next() (at int64, ok bool) {
	if len(t.heap) == 0 {
		return 0, false
	}
	return t.heap[0].at, true
}

func (t *timers) push(x timer) {
	t.heap = append(t.heap, x)
	h, i := t.heap, len(t.heap)-1
	for i > 0 {
		parent := (i - 1) / 2
		if h[parent].at <= x.at {
			break
		}
		h[i], i = h[parent], parent
	}
	h[i] = x
}

func (t *timers) pop() timer {
	h := t.heap
	top, x := h[0], h[len(h)-1]
	h = h[:len(h)-1]
	t.heap = h
	if len(h) == 0 {
		return top
	}
	i := 0
	for {
		child := 2*i + 1
		if child >= len(h) {
			break
		}
		if child+1 < len(h) && h[child+1].at < h[child].at {
			child++
		}
		if h[child].at >= x.at {
			break
		}
		h[i], i = h[child], child
	}
	h[i] = x
	return top
}

// filter keeps the timers that keep is true for.
func (t *timers) filter(keep func(timer) bool) {
	old := t.heap
	t.heap = t.heap[:0:len(old)]
	for _, x := range old {
		if keep(x) {
			t.push(x)
		}
	}
}
