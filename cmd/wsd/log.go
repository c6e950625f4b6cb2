package main

import (
	"fmt"
	"io"
	"log/slog"

	"wsd/server"
)

// serveLog is the log of `wsd serve`.
type serveLog struct {
	*slog.Logger
	queue *logQueue
}

// openLog has the log reach out by a queue, which the caller closes at the end.
// Level and format were checked as flags.
func openLog(out io.Writer, flags logFlags) (serveLog, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(flags.LogLevel)); err != nil {
		return serveLog{}, fmt.Errorf("--log-level: %w", err)
	}
	q := newLogQueue(out)
	q.notices = logHandler(writerFunc(q.direct), level, flags.LogFormat)
	go q.run()
	return serveLog{slog.New(logHandler(q, level, flags.LogFormat)), q}, nil
}

// logHandler writes structured lines, each in one call.
func logHandler(out io.Writer, level slog.Level, format string) slog.Handler {
	options := &slog.HandlerOptions{Level: level}
	if format == "json" {
		return slog.NewJSONHandler(out, options)
	}
	return slog.NewTextHandler(out, options)
}

// logStart says what an operator wants to see confirmed: where, how many, and
// whether that is what was asked for.
func logStart(log *slog.Logger, f *serveFlags, addresses []string, admin string, l server.Limits) {
	log.Info("serving", "listen", addresses, "path", f.Listen.Path, "echo", f.Listen.EchoPath, "admin", admin)
	log.Info("limits", "clients", l.MaxClients, "descriptors", l.Descriptors, "reserve", l.Reserve)
	if l.MaxClients < l.Asked {
		log.Warn("the descriptor limit allows fewer clients than --max-clients: "+
			"raise it (ulimit -n, or LimitNOFILE= in the systemd unit), or ask for fewer",
			"asked", l.Asked, "clients", l.MaxClients, "needed", l.Asked+l.Reserve, "descriptors", l.Descriptors)
	}
}
