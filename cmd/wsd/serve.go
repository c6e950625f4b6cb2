package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/alecthomas/kong"

	"wsd/admin"
	"wsd/auth"
	"wsd/server"
	"wsd/upgrade"
)

type serveCmd struct {
	Config      configFile `placeholder:"FILE" help:"YAML file with values for the flags below, by their names. Flags go before the environment, the environment before the file, the file before the defaults."`
	PrintConfig bool       `env:"-" help:"Print the effective configuration, as a file for --config, and exit."`
	serveFlags  `embed:""`
}

// Run serves until a signal ends it.
func (c *serveCmd) Run(command *kong.Context, stdout io.Writer, stderr diagnostics) error {
	if c.PrintConfig {
		return printConfig(stdout, settings(command.Selected()))
	}
	signal.Ignore(syscall.SIGPIPE) // whoever reads the log may leave, and the clients stay
	log, err := openLog(stderr, c.Log)
	if err != nil {
		return err
	}
	defer log.queue.close()
	slog.SetDefault(log.Logger) // what libraries say goes the same way
	return c.serve(command, log)
}

func (c *serveCmd) serve(command *kong.Context, log serveLog) error {
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP) // from the start, since it would end the process
	passed, err := inherited()
	if err != nil {
		return err
	}
	e, err := upgrade.Inherit(programVersion())
	if err != nil {
		return err
	}
	if (len(passed) > 0 || e.Passed()) && isDefault(command.Selected(), "listen") {
		c.Listen.Listen = []string{"none"} // the default is not meant beside what was passed
	}
	d, err := newDaemon(&c.serveFlags, log, passed, e)
	if err != nil {
		return err
	}
	return d.run(&c.serveFlags, hangups)
}

// isDefault reports whether a flag has its default value, wherever from.
func isDefault(command *kong.Node, name string) bool {
	return slices.ContainsFunc(command.Flags, func(f *kong.Flag) bool {
		return f.Name == name && fmt.Sprint(f.Target.Interface()) == fmt.Sprint([]string{f.Default})
	})
}

// daemon is the server and its admin side, if it has one.
type daemon struct {
	log    serveLog
	keys   *tokens
	super  supervisor
	server *server.Server
	admin  *admin.Server
	// cluster is nil if the server is alone.
	cluster clusterSide
	// adminEnded gets what admin.Serve returned.
	adminEnded chan error

	program     string              // where it is on disk
	inheritance *server.Inheritance // of an older process, or nil
	tellMemory  func()              // tells the log what the memory has room for
}

// newDaemon opens all listeners, so that what is wrong with an address or a
// file shows before anything runs. The descriptors passed listen already; e,
// if there is one, is what an older process hands over.
func newDaemon(f *serveFlags, log serveLog, passed []int, e *server.Inheritance) (*daemon, error) {
	cfg := f.serverConfig()
	cfg.Logger = log.Logger
	keys, err := openTokens(&f.Identity, log.Logger)
	if err != nil {
		return nil, err
	}
	cfg.Mux = newMux(keys, f.Identity.Auth, log.Logger)
	cfg.Inherited, cfg.Inheritance = passed, e
	tellMemory := f.budgetMemory(log.Logger, &cfg)
	// Without a number, as many as the host holds are welcome: nothing to check.
	// Clients that are taken over are there already.
	if n := int(f.Admission.MaxClients); n > 0 && e == nil {
		if err := checkHost(log.Logger, n, loopsOf(f.Listen.Loops), f.Admission.Strict); err != nil {
			return nil, err
		}
	}
	d := &daemon{log: log, keys: keys, super: supervisor{log.Logger}, adminEnded: make(chan error, 1), inheritance: e, tellMemory: tellMemory}
	if d.program, err = upgrade.Program(); err != nil {
		return nil, err
	}
	if d.server, err = server.New(cfg); err != nil {
		return nil, named(err, serverFlagNames)
	}
	for _, c := range f.conflicts() {
		c.Log(log.Logger)
	}
	if err := d.join(f); err != nil {
		return nil, errors.Join(err, d.server.Stop(context.Background(), false))
	}
	if f.Admin.Admin == "" {
		return d, nil
	}
	side := f.adminConfig(log.Logger, d.server.Limits().Spare())
	side.LogDropped = log.queue.dropped.Load
	if keys != nil && len(keys.cfg.KeySets) > 0 {
		side.KeySetReads = keys.verifier.Fetches
	}
	side.Inherited = e.File(adminFile(f))
	if d.cluster != nil {
		side.Cluster = d.cluster
	}
	d.admin, err = admin.New(side, d.server)
	if err != nil {
		// Stop gives back what New opened, the file of a Unix socket included.
		return nil, errors.Join(named(err, adminFlagNames), d.server.Stop(context.Background(), false))
	}
	if f.Admin.AdminTokenFile != "" {
		auth.WarnExposed(log.Logger, f.Admin.AdminTokenFile, true)
	}
	return d, nil
}

// run serves until a first signal, and then until the clients are gone or a
// second signal comes. The admin side is up before clients are let in and
// after the last one has left, so that probes see both ends.
func (d *daemon) run(f *serveFlags, hangups <-chan os.Signal) error {
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	upgrades := make(chan os.Signal, 1)
	signal.Notify(upgrades, signalUpgrade)
	adminAddress, err := d.begin()
	if err != nil {
		return err
	}
	// What starting has left behind, two thirds of all memory so far, makes room
	// for the clients; else the collector would find it after most of them.
	runtime.GC()
	d.tellMemory()
	logStart(d.log.Logger, f, d.server.Addrs(), adminAddress, d.server.Limits())
	k, err := upgrade.Listen()
	if err != nil {
		d.log.Warn("`wsd upgrade` will not reach this process; SIGUSR2 will", "error", err)
	}
	defer k.Close()
	d.super.ready(d.status())
	_ = d.inheritance.Close() // the process at the other end may be gone already
	watching, cancel := context.WithCancel(context.Background())
	defer cancel()
	go d.super.watch(watching, d.super.timeout(), d.server.Alive, d.status)

	successor, failed := d.awaitEnd(f, k, signals, upgrades, hangups)
	if successor != nil {
		cancel()
		if failed == nil {
			go passOn(hangups, successor.PID)
		}
		return errors.Join(failed, d.depart(*successor))
	}
	d.super.stopping(time.Duration(f.Stop.DrainTime+f.Timeouts.CloseTimeout) + stopSlack)
	return errors.Join(failed, d.stop(signals, f.Stop.Restart))
}

// awaitEnd serves until a signal or a failure ends that, and does the upgrades
// that are asked for meanwhile; if one succeeds, successor tells about it.
func (d *daemon) awaitEnd(f *serveFlags, k *upgrade.Control, signals, upgrades, hangups <-chan os.Signal) (successor *upgrade.Report, err error) {
	for {
		var request *upgrade.Request // nil: by a signal
		select {
		case s := <-signals:
			d.log.Info("stopping", "signal", s.String(), "drain", f.Stop.DrainTime.String())
			return nil, nil
		case err := <-d.adminEnded:
			d.log.Error("stopping", "error", err)
			return nil, err
		case <-hangups:
			d.reload()
			continue
		case request = <-k.Requests():
		case <-upgrades:
		}
		r, err := d.upgrade(f)
		if err != nil {
			d.log.Error("upgrade failed", "error", err)
			r.Error = err.Error()
		}
		ended := err == nil || errors.Is(err, server.ErrSuccessorDied)
		if ended {
			k.Shut() // before the answer: the next one to ask is the new process's
		}
		request.Answer(r)
		if ended {
			return &r, err
		}
	}
}

// status is a line for systemctl status.
func (d *daemon) status() string {
	addresses := strings.Join(d.server.Addrs(), ", ")
	return fmt.Sprintf("%d clients on %s", d.server.Stats().Clients.Connected, addresses)
}

// stopSlack is what a stop may take beside the drain and the last answer.
const stopSlack = adminShutdown + 10*time.Second

// errCut is the end by a second signal.
var errCut = errors.New("ended by a second signal, before all clients were told")

func (d *daemon) stop(signals <-chan os.Signal, restarting bool) error {
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	first := time.Now()
	if d.cluster != nil {
		d.cluster.Drain()
		defer d.cluster.Close()
	}
	go func() {
		for range signals {
			if time.Since(first) > sameSignal {
				break
			}
		}
		cancel(errCut)
		signal.Reset(syscall.SIGTERM, syscall.SIGINT) // a third one ends the process, whatever it hangs in
	}()
	err := d.server.Stop(ctx, restarting)
	if errors.Is(context.Cause(ctx), errCut) {
		return errCut
	}
	if d.admin != nil {
		ended, release := context.WithTimeout(ctx, adminShutdown)
		defer release()
		err = errors.Join(err, d.admin.Shutdown(ended))
	}
	d.log.Info("stopped")
	return err
}

// sameSignal is how long further signals count as the first one: timeout(1), for
// one, sends its signal to the process and then to its group.
const sameSignal = 50 * time.Millisecond

// adminShutdown bounds the wait for requests under way on the admin side: a
// profile may take minutes.
const adminShutdown = 2 * time.Second
