package admin

import (
	"log"
	"log/slog"
	"strings"
	"sync"
	"time"
)

// logPause is the shortest time between two lines of net/http in the log. It has a
// line for each connection of a scanner, and for each time that accepting fails,
// which is all the time while no descriptor is left.
const logPause = 10 * time.Second

// quiet passes on what net/http complains of, one line a logPause, which says
// how many were left out before it.
type quiet struct {
	log *slog.Logger
	now func() time.Time

	mu      sync.Mutex
	last    time.Time
	skipped int
}

func errorLog(l *slog.Logger) *log.Logger {
	return log.New(&quiet{log: l, now: time.Now}, "", 0)
}

// Write gets a whole line.
func (q *quiet) Write(line []byte) (int, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	now := q.now()
	if !q.last.IsZero() && now.Sub(q.last) < logPause {
		q.skipped++
		return len(line), nil
	}
	q.log.Warn(strings.TrimSuffix(string(line), "\n"), "left_out", q.skipped)
	q.last, q.skipped = now, 0
	return len(line), nil
}
