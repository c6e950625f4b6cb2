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
	fmt.Fprintln(os.Stderr, "building", strings.Join(names, ", "))
	if err := fleet.Build(ctx, o.module, bin, names...); err != nil {
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
	case "wsd": // an application's action is in a program of its own
		return Server{
			Name:   name,
			Argv:   append([]string{o.wsd, "serve", "--echo-path", "/echo"}, where...),
			Action: append([]string{program}, where...),
		}
	case "floor":
		argv := append([]string{program}, where...)
		return Server{Name: name, Argv: argv, Action: argv}
	}
	argv := append(append([]string{program}, where...), "--parse", o.plan.Parse)
	s := Server{Name: name, Version: versionOf(program, fleet.Libraries[name]), Argv: argv, Action: argv}
	if o.plan.Parse == "scan" {
		s.Action = nil // a scan knows one action
	}
	return s
}
