package main

import (
	"errors"
	"flag"
	"fmt"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"wsd/bench/peers/fleet"
)

type options struct {
	plan   Plan
	wsd    string
	only   string
	extra  []string
	module string
	out    string
	from   string
	quick  bool
}

func parseFlags(args []string) (*options, error) {
	o := &options{}
	f := flag.NewFlagSet("compare", flag.ContinueOnError)
	f.StringVar(&o.wsd, "wsd", "", "the wsd `program`: a contestant, and the load generator")
	f.StringVar(&o.only, "only", "", "measure these `names` only, comma separated (of wsd, "+strings.Join(fleet.Peers, ", ")+")")
	f.Func("extra", "another contestant, `NAME=COMMAND` with {listen} and {admin} in it; repeatable", func(s string) error {
		o.extra = append(o.extra, s)
		return nil
	})
	f.StringVar(&o.module, "peers", ".", "`folder` of the module wsd/bench/peers")
	f.StringVar(&o.out, "out", "comparison", "`folder` for the results")
	f.StringVar(&o.from, "from", "", "measure nothing: write table and plots again from this comparison.json")
	f.BoolVar(&o.quick, "quick", false, "one short round with few clients, only to see that all works")
	p := &o.plan
	f.IntVar(&p.Rounds, "rounds", 3, "times that every server is measured")
	f.IntVar(&p.Clients, "clients", 0, "clients of one server; 0: 19000, or what the descriptor limit allows")
	f.IntVar(&p.Active, "active", 1000, "clients in the closed loops")
	f.IntVar(&p.Rate, "rate", 20000, "heartbeats a second, over all clients")
	f.DurationVar(&p.Phase, "phase", 5*time.Second, "length of a phase; the echo takes half of it")
	f.IntVar(&p.Publishes, "publishes", 10, "messages published to all")
	f.StringVar(&p.Parse, "parse", "json", "how the peers find the action: json, or scan to leave JSON out of it")
	f.IntVar(&p.ServerCPU, "server-cpu", 0, "`processor` of the servers")
	f.IntVar(&p.BenchCPU, "bench-cpu", 1, "`processor` of the generator")
	f.StringVar(&p.Listen, "listen", "127.0.0.1:18066", "`host:port` of the servers")
	f.StringVar(&p.Admin, "admin", "127.0.0.1:18067", "`host:port` of their publisher's side")
	if err := f.Parse(args); err != nil {
		return nil, err
	}
	if f.NArg() > 0 {
		return nil, fmt.Errorf("unexpected argument %q: there are only flags", f.Arg(0))
	}
	return o, nil
}

// reserve are the descriptors that a server needs besides those of clients.
const reserve = 1000

// check fills in what depends on the machine and refuses what cannot work.
func (o *options) check() error {
	p := &o.plan
	if o.quick {
		p.Rounds, p.Clients, p.Active, p.Rate = 1, 1000, 200, 2000
		p.Phase, p.Publishes = 2*time.Second, 3
	}
	var files syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err != nil {
		return fmt.Errorf("descriptor limit: %w", err)
	}
	if most := int(min(files.Max, 1<<20)) - reserve; p.Clients == 0 {
		p.Clients = min(19000, most)
	} else if p.Clients > most {
		return fmt.Errorf("--clients %d: this shell's hard descriptor limit carries %d; raise it with ulimit -Hn", p.Clients, most)
	}
	p.Active = min(p.Active, p.Clients)
	switch {
	case o.wsd == "":
		return errors.New("--wsd is missing: it takes the program that `go build ./cmd/wsd` makes")
	case min(p.Rounds, p.Clients, p.Active, p.Rate, p.Publishes) < 1 || p.Phase <= 0:
		return errors.New("--rounds, --clients, --active, --rate, --publishes and --phase must be positive")
	case p.ServerCPU == p.BenchCPU || max(p.ServerCPU, p.BenchCPU) >= runtime.NumCPU():
		return fmt.Errorf("--server-cpu %d, --bench-cpu %d: they must differ, and this machine has %d processors, counted from 0", p.ServerCPU, p.BenchCPU, runtime.NumCPU())
	}
	wsd, err := filepath.Abs(o.wsd)
	if err != nil {
		return err
	}
	o.wsd = wsd
	for _, program := range []string{o.wsd, "taskset"} {
		if _, err := exec.LookPath(program); err != nil {
			return err
		}
	}
	return nil
}
