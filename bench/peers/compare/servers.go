package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"wsd/bench/peers/fleet"
)

// servers builds the peers and lists all contestants.
func (o *options) servers(ctx context.Context) ([]Server, error) {
	names := append([]string{"wsd"}, fleet.Peers...)
	if o.only != "" {
		want := strings.Split(o.only, ",")
		for _, n := range want {
			if !slices.Contains(names, n) {
				return nil, fmt.Errorf("--only %s: there is no %q", o.only, n)
			}
		}
		names = want
	}
	bin := filepath.Join(o.out, "bin")
	if err := os.MkdirAll(bin, 0o755); err != nil {
		return nil, err
	}
	peers := slices.DeleteFunc(slices.Clone(names), func(n string) bool { return n == "wsd" })
	fmt.Fprintln(os.Stderr, "building", strings.Join(peers, ", "))
	if err := fleet.Build(ctx, o.module, bin, peers...); err != nil {
		return nil, err
	}
	var all []Server
	for _, n := range names {
		all = append(all, o.server(n, filepath.Join(bin, n)))
	}
	for _, e := range o.extra {
		name, command, ok := strings.Cut(e, "=")
		if !ok || name == "" || len(strings.Fields(command)) == 0 {
			return nil, fmt.Errorf("--extra %q: want NAME=COMMAND", e)
		}
		all = append(all, Server{Name: name, Argv: strings.Fields(command)})
	}
	return all, nil
}

func (o *options) server(name, program string) Server {
	where := []string{"--listen", "{listen}", "--admin", "{admin}"}
	switch name {
	case "wsd":
		return Server{Name: name, Argv: append([]string{o.wsd, "serve", "--echo-path", "/echo"}, where...)}
	case "floor":
		return Server{Name: name, Argv: append([]string{program}, where...)}
	}
	return Server{
		Name:    name,
		Version: versionOf(program, fleet.Libraries[name]),
		Argv:    append(append([]string{program}, where...), "--parse", o.plan.Parse),
	}
}
