package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"runtime"
	"time"

	"github.com/alecthomas/kong"

	"wsd/host"
)

// tuneCmd is `wsd tune`: flags and output around package host.
type tuneCmd struct {
	Check  tuneCheckCmd  `cmd:"" help:"Compare what this host allows with what a number of clients needs; fails if they do not fit."`
	Print  tunePrintCmd  `cmd:"" help:"Print the needed settings as files and flags, without changing anything."`
	Apply  tuneApplyCmd  `cmd:"" help:"Set what can be set while the host runs, never lowering a value."`
	Revert tuneRevertCmd `cmd:"" help:"Restore what apply changed since the last boot."`
}

// tuneNeeds are the flags that say what the host is wanted for.
type tuneNeeds struct {
	Clients       count `default:"1000000" help:"Clients connected at once."`
	Loops         count `default:"0" help:"What wsd serve gets as --loops; 0: one for each processor (GOMAXPROCS)."`
	LoadGenerator bool  `help:"The clients run on this host as well, as with wsd bench."`
	Message       size  `default:"1KiB" help:"Size of one broadcast."`
	ConnectRate   count `default:"0" help:"Handshakes per second when all come back; 0: a twentieth of the clients, from 1000 to 50000."`
	Heartbeat     span  `default:"30s" help:"Time between two heartbeats of a client."`
}

func (n tuneNeeds) needs() host.Needs {
	return host.Needs{
		Clients:       int(n.Clients),
		Loops:         loopsOf(n.Loops),
		LoadGenerator: n.LoadGenerator,
		MessageBytes:  int(n.Message),
		ConnectRate:   int(n.ConnectRate),
		Heartbeat:     time.Duration(n.Heartbeat),
	}
}

// loopsOf is how many loops the server makes of its flag --loops.
func loopsOf(flag count) int {
	if flag > 0 {
		return int(flag)
	}
	return runtime.GOMAXPROCS(0)
}

// tuneRoot is hidden: it is how recorded hosts are read, by the tests and by
// whoever is sent a recording.
type tuneRoot struct {
	Root string `default:"/" hidden:"" type:"existingdir" help:"Directory with the host's proc and sys."`
}

type tuneCheckCmd struct {
	tuneNeeds `embed:""`
	tuneRoot  `embed:""`
	JSON      bool `name:"json" help:"Write one JSON object."`
}

func (c *tuneCheckCmd) Run(ctx *kong.Context) error {
	f, err := host.Read(c.Root)
	if err != nil {
		return err
	}
	r := host.NewReport(f, c.needs())
	write := r.WriteText
	if c.JSON {
		write = r.WriteJSON
	}
	if err := write(ctx.Stdout); err != nil {
		return err
	}
	if !r.Fits {
		return errors.New(r.Summary())
	}
	return nil
}

type tunePrintCmd struct {
	tuneNeeds `embed:""`
	tuneRoot  `embed:""`
	What      string `arg:"" optional:"" default:"all" enum:"all,sysctl,systemd,container" help:"sysctl: a file for /etc/sysctl.d; systemd: a drop-in for the unit; container: flags for Docker and Kubernetes; all."`
}

func (c *tunePrintCmd) Run(ctx *kong.Context) error {
	f, err := host.Read(c.Root)
	if err != nil {
		return err
	}
	between := ""
	for _, part := range [...]struct {
		what  string
		write func(host.Facts, host.Needs) string
	}{{"sysctl", host.Sysctl}, {"systemd", host.Systemd}, {"container", host.Container}} {
		if c.What != "all" && c.What != part.what {
			continue
		}
		if _, err := io.WriteString(ctx.Stdout, between+part.write(f, c.needs())); err != nil {
			return err
		}
		between = "\n"
	}
	return nil
}

// tuneChanges are the flags of the two commands that write.
type tuneChanges struct {
	DryRun bool   `help:"Show the changes and make none."`
	State  string `default:"/var/lib/wsd/tune.json" placeholder:"FILE" help:"File that keeps the old values."`
	JSON   bool   `name:"json" help:"Write one JSON array."`
}

type tuneApplyCmd struct {
	tuneNeeds   `embed:""`
	tuneRoot    `embed:""`
	tuneChanges `embed:""`
}

func (c *tuneApplyCmd) Run(ctx *kong.Context) error {
	f, err := host.Read(c.Root)
	if err != nil {
		return err
	}
	changes, err := host.Apply(c.Root, c.State, host.Plan(f, c.needs()), c.DryRun)
	return errors.Join(c.write(ctx.Stdout, changes), err, refusals(changes))
}

type tuneRevertCmd struct {
	tuneRoot    `embed:""`
	tuneChanges `embed:""`
}

func (c *tuneRevertCmd) Run(ctx *kong.Context) error {
	changes, err := host.Revert(c.Root, c.State, c.DryRun)
	return errors.Join(c.write(ctx.Stdout, changes), err, refusals(changes))
}

// refusals is an error if a kernel setting should have been written and could
// not be. What no command can set, a limit of a process, is none.
func refusals(changes []host.Change) error {
	n := 0
	for _, c := range changes {
		if c.Failed {
			n++
		}
	}
	if n == 0 {
		return nil
	}
	return fmt.Errorf("%d settings could not be changed: each says above why and who can", n)
}

func (c tuneChanges) write(w io.Writer, changes []host.Change) error {
	if c.JSON {
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		return e.Encode(append([]host.Change{}, changes...))
	}
	if len(changes) == 0 {
		_, err := fmt.Fprintln(w, "nothing to change")
		return err
	}
	for _, ch := range changes {
		mark := "    "
		switch {
		case ch.Done:
			mark = "set "
		case c.DryRun && ch.Before != ch.After:
			mark = "dry "
		}
		if _, err := fmt.Fprintln(w, mark+ch.String()); err != nil {
			return err
		}
	}
	return nil
}
