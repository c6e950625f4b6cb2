//go:build nocluster

package main

import (
	"log/slog"

	"wsd/server"
)

// clusterFlags: this program is built without a cluster.
type clusterFlags struct{}

func (f *serveFlags) newCluster(*slog.Logger, *server.Server) (clusterSide, error) { return nil, nil }

func (f *serveFlags) checkCluster() error { return nil }
