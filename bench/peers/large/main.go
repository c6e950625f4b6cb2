// Command large measures how long one large message takes to come back, by wsd
// and by npm's ws side by side. Run it in bench/peers, with npm there:
//
//	go run ./large --wsd ../../bin/wsd
//
// The server runs on processor 0, the client on processor 1. In every round each
// server is asked in turns, so that a machine that grows slower hits all alike.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"wsd/bench/peers/fleet"
)

type options struct {
	wsd    []contestant
	npm    string
	sizes  []int
	rounds int
	echoes int
}

// contestant is a server, the ones of wsd by program and the others by command.
type contestant struct {
	name string
	argv []string
	addr string
	proc *fleet.Process
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if os.Getenv(pinned) == "" {
		if err := pinSelf(); err != nil {
			fail(err)
		}
	}
	if err := run(ctx, os.Args[1:]); err != nil && !errors.Is(err, flag.ErrHelp) {
		fail(err)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "large:", err)
	os.Exit(1)
}

// pinned is set in the environment of the client that runs on its processor.
const pinned = "LARGE_PINNED"

// pinSelf begins again on processor 1: whoever starts there stays there.
func pinSelf() error {
	taskset, err := exec.LookPath("taskset")
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	argv := append([]string{"taskset", "-c", "1", self}, os.Args[1:]...)
	return syscall.Exec(taskset, argv, append(os.Environ(), pinned+"=1"))
}

func parseFlags(args []string) (*options, error) {
	o := &options{}
	f := flag.NewFlagSet("large", flag.ContinueOnError)
	var wsd string
	f.StringVar(&wsd, "wsd", "", "the wsd `program`")
	f.Func("also", "another build of wsd, `NAME=PROGRAM`; repeatable", func(s string) error {
		name, program, ok := strings.Cut(s, "=")
		if !ok {
			return errors.New("want NAME=PROGRAM")
		}
		o.wsd = append(o.wsd, contestant{name: name, argv: []string{program}})
		return nil
	})
	f.StringVar(&o.npm, "npm", "npmws", "`folder` of the server on npm's ws; empty: without it")
	sizes := f.String("sizes", "1,16", "`MiB` of a message, comma separated")
	f.IntVar(&o.rounds, "rounds", 15, "times that every server is asked")
	f.IntVar(&o.echoes, "echoes", 5, "messages of 16 MiB each time, and more of smaller ones")
	if err := f.Parse(args); err != nil {
		return nil, err
	}
	if f.NArg() > 0 {
		return nil, fmt.Errorf("unexpected argument %q: there are only flags", f.Arg(0))
	}
	if wsd != "" {
		o.wsd = append([]contestant{{name: "wsd", argv: []string{wsd}}}, o.wsd...)
	}
	for _, s := range strings.Split(*sizes, ",") {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 || n > 512 {
			return nil, fmt.Errorf("--sizes %s: want whole MiB, 1 to 512", *sizes)
		}
		o.sizes = append(o.sizes, n<<20)
	}
	return o, nil
}

// limit is the largest message that the servers take: the largest of the sizes.
func (o *options) limit() (n int) {
	for _, size := range o.sizes {
		n = max(n, size)
	}
	return n
}

func run(ctx context.Context, args []string) error {
	o, err := parseFlags(args)
	if err != nil {
		return err
	}
	all, err := o.start(ctx)
	defer func() {
		for _, c := range all {
			c.proc.Stop()
		}
	}()
	if err != nil {
		return err
	}
	b := bench{options: o, servers: all}
	if err := b.run(ctx); err != nil {
		return err
	}
	b.print(os.Stdout)
	return nil
}

// start starts all servers, which stay up to the end: one that is not asked is idle.
func (o *options) start(ctx context.Context) (all []contestant, err error) {
	limit := strconv.Itoa(o.limit())
	for _, c := range o.wsd {
		c.argv = append(c.argv, "serve", "--echo-path", "/echo", "--listen", "{listen}", "--admin", "none", "--max-message", limit, "--log-level", "error")
		all = append(all, c)
	}
	if o.npm != "" {
		if _, err := os.Stat(filepath.Join(o.npm, "node_modules")); err != nil {
			npm := exec.CommandContext(ctx, "npm", "ci", "--no-audit", "--no-fund", "--loglevel=error")
			npm.Dir, npm.Stdout, npm.Stderr = o.npm, os.Stderr, os.Stderr
			if err := npm.Run(); err != nil {
				return nil, fmt.Errorf("npm ci in %s: %w", o.npm, err)
			}
		}
		all = append(all, contestant{name: "npm ws", argv: []string{"node", filepath.Join(o.npm, "server.mjs"), "{listen}", limit}})
	}
	for i := range all {
		c := &all[i]
		c.addr = fmt.Sprintf("127.0.68.1:%d", 18066+i)
		for k, arg := range c.argv {
			c.argv[k] = strings.ReplaceAll(arg, "{listen}", c.addr)
		}
		if c.proc, err = fleet.Start(ctx, fleet.Launch{Argv: c.argv, CPU: 0, Ready: []string{c.addr}}); err != nil {
			return all[:i], err
		}
	}
	time.Sleep(time.Second) // what starting leaves to be done
	return all, nil
}
