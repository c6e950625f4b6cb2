package admin

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"
)

// However much net/http complains, it fills no disk.
func TestErrorLogIsQuiet(t *testing.T) {
	var out bytes.Buffer
	now := time.Unix(1000, 0)
	l := errorLog(slog.New(slog.NewTextHandler(&out, nil)))
	l.Writer().(*quiet).now = func() time.Time { return now }
	for range 25 { // every second
		l.Print("http: Accept error: too many open files")
		now = now.Add(time.Second)
	}
	text := out.String()
	if n := strings.Count(text, "Accept error"); n != 3 || strings.Count(text, "left_out=9") != 2 {
		t.Errorf("%d lines:\n%s", n, text)
	}
}
