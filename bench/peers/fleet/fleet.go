// Package fleet builds, starts, watches and stops the compared servers, each
// as a process of its own.
package fleet

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Peers are the names of the servers in this module, the floor first. Each is
// the folder it is built from.
var Peers = []string{"floor", "gorilla", "coder", "gws", "nbio", "gnet", "easygo"}

// Libraries tells for each peer which module, as its go.mod names it, it shows.
var Libraries = map[string]string{
	"gorilla": "github.com/gorilla/websocket",
	"coder":   "github.com/coder/websocket",
	"gws":     "github.com/lxzan/gws",
	"nbio":    "github.com/lesismal/nbio",
	"gnet":    "github.com/panjf2000/gnet/v2",
	"easygo":  "github.com/mailru/easygo",
}

// Build compiles the named peers of the module in dir into the folder out,
// under their names. The floor needs a C compiler, $CC or cc.
func Build(ctx context.Context, dir, out string, names ...string) error {
	out, err := filepath.Abs(out)
	if err != nil {
		return err
	}
	goBuild := []string{"go", "build", "-trimpath", "-o", out + string(filepath.Separator)}
	n := len(goBuild)
	for _, name := range names {
		if name != "floor" {
			goBuild = append(goBuild, "./"+name)
			continue
		}
		if err := compileFloor(ctx, dir, out); err != nil {
			return err
		}
	}
	if len(goBuild) == n {
		return nil
	}
	return command(ctx, dir, goBuild)
}

func compileFloor(ctx context.Context, dir, out string) error {
	cc := os.Getenv("CC")
	if cc == "" {
		cc = "cc"
	}
	return command(ctx, dir, []string{cc, "-O2", "-Wall", "-o", filepath.Join(out, "floor"), filepath.Join("floor", "floor.c")})
}

func command(ctx context.Context, dir string, argv []string) error {
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Dir = dir
	if msg, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", strings.Join(argv, " "), err, msg)
	}
	return nil
}
