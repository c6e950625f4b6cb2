package main

import (
	"fmt"
	"io"
	"log/slog"

	"wsd/server"
)

// newLogger writes structured lines. Level and format were checked as flags.
func newLogger(out io.Writer, flags logFlags) (*slog.Logger, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(flags.LogLevel)); err != nil {
		return nil, fmt.Errorf("--log-level: %w", err)
	}
	options := &slog.HandlerOptions{Level: level}
	if flags.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(out, options)), nil
	}
	return slog.New(slog.NewTextHandler(out, options)), nil
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
