package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"syscall"

	"wsd/bench"
	"wsd/bench/report"
)

// benchCmd is `wsd bench`: flags and output around package bench.
type benchCmd struct {
	Run               benchRunCmd     `cmd:"" default:"withargs" help:"Put load on a WebSocket server and report (the default)."`
	Compare           benchCompareCmd `cmd:"" help:"Print the ratios of two reports."`
	benchAgentCommand `embed:""`
	Worker            benchWorkerCmd `cmd:"" hidden:"" help:"A process of a larger run, started by it."`
}

type benchRunCmd struct {
	benchClients     `embed:"" group:"Clients"`
	benchPhases      `embed:"" group:"Phases"`
	benchMisbehaving `embed:"" group:"Misbehaving clients"`
	benchServer      `embed:"" group:"Server"`
	benchAgents      `embed:"" group:"Agents"`
	benchOutput      `embed:"" group:"Output"`
}

// Run carries the load out. Its exit code is 1 if it could not, if an
// assertion does not hold, or if it was interrupted before the first phase.
func (c *benchRunCmd) Run(stdout io.Writer, stderr diagnostics) error {
	plan, err := c.plan()
	if err != nil {
		return err
	}
	checks, err := report.ParseAssertions(c.Assert)
	if err != nil {
		return fmt.Errorf("--assert: %w", err)
	}
	if err := c.writable(); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	width := 0
	if f, ok := stderr.(*os.File); ok {
		width = terminalWidth(f)
	}
	view := report.NewView(stderr, width)
	hosts, err := c.connect(ctx, stderr)
	if err != nil {
		return err
	}
	found, err := bench.Run(ctx, plan, bench.Options{Worker: benchWorker, Agents: hosts, Observer: view, Command: append([]string{"wsd"}, os.Args[1:]...)})
	view.Close()
	if found == nil {
		return err
	}
	found.WriteTable(stdout)
	return errors.Join(err, c.write(found), found.Check(stdout, checks), found.Unreached())
}

// benchWorker is this program again, as a worker.
func benchWorker() (*exec.Cmd, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(self, "bench", "worker")
	// Ctrl-C in a terminal goes to the whole group; workers are told by their
	// coordinator instead.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return cmd, nil
}

type benchWorkerCmd struct{}

func (*benchWorkerCmd) Run(stdout io.Writer) error { return bench.Work(os.Stdin, stdout) }

type benchCompareCmd struct {
	Before string `arg:"" type:"existingfile" help:"Report written with --json."`
	After  string `arg:"" type:"existingfile" help:"Another, of the same scenario."`
}

func (c *benchCompareCmd) Run(stdout io.Writer) error {
	a, err := readReport(c.Before)
	if err != nil {
		return err
	}
	b, err := readReport(c.After)
	if err != nil {
		return err
	}
	return report.Compare(stdout, a, b)
}
