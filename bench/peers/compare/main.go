// Command compare measures wsd and the peers side by side with `wsd bench`,
// and writes a table (comparison.md), all figures (comparison.json) and plots
// (*.svg). Run it in bench/peers:
//
//	go run ./compare --wsd ../../wsd
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "compare:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	o, err := parseFlags(args)
	if err != nil {
		return err
	}
	if o.from != "" {
		r, err := loadResult(o.from)
		if err != nil {
			return err
		}
		return write(o.out, r)
	}
	if err := o.check(); err != nil {
		return err
	}
	servers, err := o.servers(ctx)
	if err != nil {
		return err
	}
	runs := filepath.Join(o.out, "runs")
	if err := os.MkdirAll(runs, 0o755); err != nil {
		return err
	}
	d := driver{plan: o.plan, loader: wsdBench{wsd: o.wsd, cpu: o.plan.BenchCPU, dir: runs}, log: os.Stderr}
	d.run(ctx, servers)
	r := d.result(servers)
	if len(r.Servers) == 0 {
		return errors.New("no server could be measured; the reasons are above")
	}
	return write(o.out, r)
}

func write(out string, r Result) error {
	if err := os.MkdirAll(out, 0o755); err != nil {
		return err
	}
	if err := r.save(filepath.Join(out, "comparison.json")); err != nil {
		return err
	}
	table, err := os.Create(filepath.Join(out, "comparison.md"))
	if err != nil {
		return err
	}
	defer table.Close()
	if err := writeTable(table, r); err != nil {
		return err
	}
	if err := table.Close(); err != nil {
		return err
	}
	if err := drawAll(out, r); err != nil {
		return err
	}
	fmt.Fprintln(os.Stderr, "written to", out)
	return nil
}
