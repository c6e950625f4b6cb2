package admin

import "sync"

// window bounds how much of a stream is under way at once: so many lines that
// the loops always have work, but not so many that other publishers, whose
// messages come after them, would wait behind a crowd.
type window struct {
	mu    sync.Mutex
	room  sync.Cond // one waits: the stream's reader
	lines int
	bytes int
	reach int // clients that one of the latest lines was for
}

// Bounds of a window. Its clients are those of all its lines together; two
// lines, one of which begins as the other ends, may have any number.
const (
	windowLines   = 64
	windowClients = 16 << 10
	windowBytes   = 4 << 20
)

// newWindow begins small: nobody knows yet how many a line is for.
func newWindow() *window {
	w := &window{reach: windowClients / 2}
	w.room.L = &w.mu
	return w
}

// enter waits until a line of so many bytes may begin. One larger than the
// window goes alone.
func (w *window) enter(bytes int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for w.lines > 0 && (w.lines >= w.most() || w.bytes+bytes > windowBytes) {
		w.room.Wait()
	}
	w.lines++
	w.bytes += bytes
}

// most is how many lines may be under way.
func (w *window) most() int { return min(max(windowClients/max(w.reach, 1), 2), windowLines) }

// under is how many lines are under way.
func (w *window) under() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.lines
}

// leave tells that a line has been answered, and how many clients it was for.
// One for many counts at once, several for few little by little.
func (w *window) leave(bytes, clients int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lines--
	w.bytes -= bytes
	w.reach = max(clients, w.reach*7/8)
	w.room.Signal()
}
