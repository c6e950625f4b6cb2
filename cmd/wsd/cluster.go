package main

import (
	"context"
	"errors"

	"wsd/admin"
	"wsd/upgrade"
)

// clusterSide is this process as a node of a cluster (package cluster).
type clusterSide interface {
	admin.Cluster
	// TakePublishers has the node take what publishers send over NATS, before Start.
	TakePublishers(p *admin.Publisher)
	// Start connects to the other nodes; the server starts after it.
	Start(ctx context.Context) error
	// Resume is Start for a process that has taken over from another: state is what
	// that one's Leave returned.
	Resume(ctx context.Context, state []byte) error
	// Hold has the others keep what they have for this node, until Release, or Resume
	// in the next process.
	Hold(ctx context.Context) error
	// Leave ends the connection and returns what the next process has to know.
	Leave() ([]byte, error)
	// Release undoes Hold and Leave.
	Release() error
	// Drain tells the others that clients are being sent away.
	Drain()
	// Close says goodbye.
	Close()
}

// join makes the server a node, if the flags say so.
func (d *daemon) join(f *serveFlags) error {
	node, err := f.newCluster(d.log.Logger, d.server)
	if node == nil {
		return err
	}
	d.cluster = node
	cfg := f.adminConfig(d.log.Logger, d.server.Limits().Spare())
	cfg.Cluster = node
	node.TakePublishers(admin.NewPublisher(cfg, d.server))
	return err
}

// startCluster joins the cluster before clients and publishers come. In one that has
// taken over, they are there already, and nothing that is wrong with the cluster may be
// their end.
func (d *daemon) startCluster() error {
	switch {
	case d.cluster == nil:
		return nil
	case d.inheritance == nil:
		if err := d.cluster.Start(context.Background()); err != nil {
			return errors.Join(err, d.server.Stop(context.Background(), false))
		}
		return nil
	}
	if err := d.cluster.Resume(context.Background(), d.inheritance.Cluster()); err != nil {
		d.log.Error("this node is not in its cluster", "error", err)
	}
	return nil
}

// releaseCluster has the cluster go on after a handover that failed with err, which it returns.
func (d *daemon) releaseCluster(err error) error {
	if err == nil || d.cluster == nil {
		return err
	}
	return errors.Join(err, d.cluster.Release())
}

// handOverCluster adds what a cluster needs to a handover.
func (d *daemon) handOverCluster(h *upgrade.Handover) {
	if d.cluster == nil {
		return
	}
	before := h.Hold
	h.Hold = func(ctx context.Context) error {
		if before != nil {
			if err := before(ctx); err != nil {
				return err
			}
		}
		return d.cluster.Hold(ctx)
	}
	h.Cluster = d.cluster.Leave
}
