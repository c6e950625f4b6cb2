package main

import "wsd/server"

// conflicts are the pairs of limits of which the server knows one alone; it has
// the others (server.Config.Conflicts).
func (f *serveFlags) conflicts() (all []server.Conflict) {
	if f.Admin.Admin != "" && f.Admin.MaxPublish > f.Slow.PendingLimit/2 {
		all = append(all, server.Conflict{
			A:   server.Setting{Field: "PendingLimit", Value: f.Slow.PendingLimit},
			B:   server.Setting{Field: "MaxPublish", Value: f.Admin.MaxPublish},
			Why: "two of the largest messages in a row are more than may wait for a client: whoever has not read the first is taken for slow",
		})
	}
	return all
}
