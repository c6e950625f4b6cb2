package main

import (
	"errors"
	"log/slog"

	"wsd/host"
)

// checkHost is what `wsd serve` asks at its start: does this host hold so many
// clients of so many loops? Each problem is one warning. With strict a host that does not fit is
// an error, and a host that merely warns is not. A host whose facts cannot be
// read is never a reason not to serve. A process that takes clients over from an
// older one must not ask: they are there already, and would be counted twice.
func checkHost(log *slog.Logger, clients, loops int, strict bool) error {
	r, err := host.Quick(host.Needs{Clients: clients, Loops: loops})
	if err != nil {
		log.Warn("host not checked", "error", err)
		return nil
	}
	return reportHost(log, r, strict)
}

func reportHost(log *slog.Logger, r host.Report, strict bool) error {
	for _, it := range r.Problems() {
		log.Warn("host: "+it.Name, "verdict", it.Verdict.String(), "now", it.Now, "needed", it.Needed, "why", it.Why, "do", it.Do)
	}
	if strict && !r.Fits {
		return errors.New("--strict: " + r.Summary() + "; `wsd tune check` tells what to do")
	}
	return nil
}
