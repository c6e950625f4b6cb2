package main

import (
	"log/slog"
	"os"
	"runtime/debug"

	"wsd/host"
	"wsd/server"
)

// budgetMemory completes what the flags leave open: how many clients the memory
// holds, what they may make the server hold beside (--pending-total), and the Go
// runtime's own limit, which the environment may set instead (GOMEMLIMIT). Where
// the memory is not known, the defaults of the library are in force. What it
// returns tells the log of all that, once the server is there.
func (f *serveFlags) budgetMemory(log *slog.Logger, cfg *server.Config) (tell func()) {
	facts, err := host.Read("/")
	b := host.NewBudget(facts, cfg.MaxClients, loopsOf(f.Listen.Loops))
	if err != nil || b.Memory == 0 {
		log.Warn("the memory of this host is not known: say with --pending-total what clients may make the server hold", "error", err)
		return func() {}
	}
	asked := f.Admission.MaxClients
	if cfg.MaxClients = b.Clients; asked == 0 && b.Clients < 1 {
		cfg.MaxClients = 1
	}
	if given := f.Slow.PendingTotal; given == nil {
		cfg.PendingTotal = b.Pending
	} else if b.Heap = b.HeapFor(int64(*given)); int64(*given) > 2*b.Pending {
		log.Warn("--pending-total is more than the memory has room for beside the clients: the kernel may kill the process; lower it, or leave it open",
			"pending-total", given.String(), "fitting", mib(b.Pending), "memory", mib(b.Memory))
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(b.Heap)
	} else {
		b.Heap = debug.SetMemoryLimit(-1)
	}
	clients, pending := cfg.MaxClients, size(cfg.PendingTotal).String()
	return func() {
		log.Info("memory", "limit", mib(b.Memory), "from", b.From, "clients", clients, "sockets", mib(b.Sockets),
			"pending-total", pending, "gomemlimit", mib(b.Heap))
	}
}

// mib is a number of bytes for people, in whole MiB.
func mib(n int64) string { return size(n >> 20 << 20).String() }
