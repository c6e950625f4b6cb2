package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"wsd/upgrade"
)

// adminFile is the name under which the admin side's listener is handed over.
func adminFile(f *serveFlags) string { return "admin " + f.Admin.Admin }

// begin lets clients and publishers in, or takes those over that there are. The
// admin side is up before clients are let in. It waits, though, while an older
// process has the clients: a request would find none.
func (d *daemon) begin() (adminAddress string, err error) {
	if d.inheritance != nil {
		if err := d.server.TakeOver(); err != nil {
			return "", fmt.Errorf("taking over: %w", err)
		}
		d.log.Info("took over", "clients", d.server.Stats().Clients.Connected)
	}
	if err := d.startCluster(); err != nil {
		return "", err
	}
	if d.admin != nil {
		if err := d.admin.Remember(d.inheritance.Extra()); err != nil {
			d.log.Warn("publishes that are repeated may come twice", "error", err)
		}
		adminAddress = d.admin.Addr()
		go func() { d.adminEnded <- d.admin.Serve() }()
	}
	if d.inheritance != nil {
		return adminAddress, nil
	}
	return adminAddress, d.server.Start()
}

// upgrade hands over to the program on disk. On an error this process serves on,
// unless the error is server.ErrSuccessorDied.
func (d *daemon) upgrade(f *serveFlags) (upgrade.Report, error) {
	h := upgrade.Handover{Server: d.server, Program: d.program}
	if d.admin == nil {
		d.handOverCluster(&h)
		r, err := h.Run()
		return r, d.releaseCluster(err)
	}
	file, err := d.admin.File()
	if err != nil {
		return upgrade.Report{}, err
	}
	defer file.Close()
	h.Files = map[string]*os.File{adminFile(f): file}
	h.Hold, h.Extra = d.hold, d.admin.Remembered
	d.handOverCluster(&h)
	r, err := h.Run()
	if err = d.releaseCluster(err); err != nil {
		d.admin.Release()
	}
	return r, err
}

// holdTimeout is how long requests under way on the admin side may take to end.
const holdTimeout = 2 * time.Second

// hold lets requests wait and those under way end. One that does not end, say
// because its body trickles in, is left behind: what it publishes then is
// refused (503), or has reached all.
func (d *daemon) hold(ctx context.Context) error {
	bounded, cancel := context.WithTimeout(ctx, holdTimeout)
	defer cancel()
	err := d.admin.Hold(bounded)
	if ctx.Err() == nil && errors.Is(err, context.DeadlineExceeded) {
		d.log.Warn("a request on the admin side does not end and is left behind")
		return nil
	}
	return err
}

// forwardTimeout is how long connections that are open to the admin side of the
// process that has handed over may take to bring another request.
const forwardTimeout = 3 * time.Second

// depart ends this process's part when another one serves.
func (d *daemon) depart(r upgrade.Report) error {
	d.log.Info("handed over", "pid", r.PID, "version", r.Version, "clients", r.Clients, "bytes", r.Bytes,
		"pause", time.Duration(r.Pause*float64(time.Second)).String())
	if d.admin == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), forwardTimeout)
	defer cancel()
	if err := d.admin.Forward(ctx); err != nil {
		d.log.Warn("last requests on the admin side", "error", err)
	}
	return nil
}
