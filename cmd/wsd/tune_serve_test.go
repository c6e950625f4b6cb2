package main

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"wsd/host"
)

func TestReportHost(t *testing.T) {
	f, err := host.Read(recorded(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		clients  int
		strict   bool
		err, log string
	}{
		{100, true, "", "host: net.core.somaxconn"}, // a warning never refuses
		{5000, false, "", "host: nofile hard"},
		{5000, true, "--strict: this host does not fit 5,000 clients", "host: nofile hard"},
	} {
		var b bytes.Buffer
		err := reportHost(slog.New(slog.NewTextHandler(&b, nil)), host.NewReport(f, host.Needs{Clients: c.clients}), c.strict)
		if (err != nil) != (c.err != "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("%d clients, strict %t: error %v, want %q", c.clients, c.strict, err, c.err)
		}
		if !strings.Contains(b.String(), c.log) {
			t.Errorf("%d clients, strict %t: no %q in the log\n%s", c.clients, c.strict, c.log, b.String())
		}
	}
	if err := checkHost(slog.New(slog.DiscardHandler), 1, false); err != nil {
		t.Errorf("one client on this host, not strict: %v", err)
	}
}
