package main

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"wsd/host"
	"wsd/server"
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
	if err := checkHost(slog.New(slog.DiscardHandler), 1, 1, false); err != nil {
		t.Errorf("one client on this host, not strict: %v", err)
	}
}

// What `wsd serve` derives from a descriptor limit is what `wsd tune` says fits
// it: --strict never refuses the server's own number.
func TestOneRuleForDescriptors(t *testing.T) {
	f, err := host.Read(recorded(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, loops := range []int{1, 2, 5, 6, 7, 64, 197, 198, 1024} {
		for n := 1; n < 100_000; n++ {
			if ours, theirs := server.Reserve(n, loops), host.Reserve(int64(n), loops); int64(ours) != theirs {
				t.Fatalf("of %d descriptors a server of %d loops keeps %d, and the host's arithmetic %d", n, loops, ours, theirs)
			}
		}
	}
	f.Sysctl["net.core.somaxconn"] = []int64{65535}
	for _, loops := range []int{2, 16, 128} {
		for _, n := range []int{64, 1000, 1024, 1056, 4096, 20000, 32767, 32768, 33000, 65536} {
			f.NoFile = host.Limit{Soft: int64(n), Hard: int64(n)}
			clients := max(n-server.Reserve(n, loops), 0)
			if r := host.NewReport(f, host.Needs{Clients: clients, Loops: loops}); clients > 0 && !r.Fits || r.MaxClients != clients {
				t.Errorf("%d descriptors hold %d clients of %d loops, and: %s, %d fit (%s)", n, clients, loops, r.Summary(), r.MaxClients, r.LimitedBy)
			}
		}
	}
}
