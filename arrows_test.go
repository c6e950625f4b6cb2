// Package wsd_test holds the shape of the repository: which package may import
// which, and that each says what it is for.
package wsd_test

import (
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// arrows are all imports among our packages that there may be. They only point
// down: docs/architecture.md has the picture. A package that is not here is new;
// give it its arrows, as few as it can do with.
var arrows = map[string][]string{
	"auth":     {},
	"conn":     {},
	"dispatch": {},
	"handoff":  {},
	"host":     {},
	"lab":      {},
	"netpoll":  {},
	"topic":    {},

	"bench/report": {},
	"lab/checker":  {},

	"server": {"netpoll", "conn", "dispatch", "handoff", "topic"},
	"admin":  {"conn", "dispatch", "host", "server"},
	"bench":  {"netpoll", "conn", "bench/report"},

	"upgrade": {"server"},

	"cluster":       {"server"},
	"cluster/embed": {},

	"cmd/wsd":       {"admin", "auth", "bench", "bench/agents", "bench/report", "cluster", "cluster/embed", "dispatch", "host", "server", "upgrade"},
	"examples/chat": {"dispatch", "server"},
	"bench/attack":  {"conn"},
	"bench/agents":  {},
}

// foreign are imports from elsewhere that belong to some packages alone: the
// system calls of connections are netpoll's (cmd/wsd asks a terminal for its
// size, lab enters namespaces), the command line is cmd/wsd's.
var foreign = map[string][]string{
	"golang.org/x/sys/unix":             {"netpoll", "cmd/wsd", "lab"},
	"unsafe":                            {"netpoll"},
	"github.com/mailru/easygo/netpoll":  {"netpoll"},
	"github.com/gobwas/ws":              {"conn", "server", "bench", "bench/attack"},
	"github.com/panjf2000/ants/v2":      {"server"},
	"github.com/RoaringBitmap/roaring/": {"topic"},
	"github.com/alecthomas/":            {"cmd/wsd"},
	"github.com/coreos/go-systemd/":     {"cmd/wsd"},
	"go.yaml.in/yaml/":                  {"bench", "cmd/wsd"},
	"github.com/golang-jwt/":            {"auth"},
	"github.com/prometheus/":            {"admin", "bench", "host"},
	"github.com/nats-io/nats.go":        {"bench/agents", "cluster", "cmd/wsd"},
	"github.com/nats-io/nats-server/":   {"cluster/embed"},
}

// pure are the packages that only compute: no descriptor, no goroutine, no
// clock, so that a test can give them everything that a network can. A report
// has lengths of time in it.
var (
	pure   = []string{"conn", "handoff", "topic", "bench/report"}
	impure = []string{"net", "os", "sync", "syscall", "time"}
	spared = map[string]string{"bench/report": "time"}
)

// listed is what go list says of a package.
type listed struct {
	ImportPath, Doc string
	Imports         []string
}

func (p listed) name() string { return strings.TrimPrefix(p.ImportPath, "wsd/") }

func packages(t *testing.T) []listed {
	t.Helper()
	out, err := exec.Command("go", "list", "-e", "-json=ImportPath,Doc,Imports", "./...").Output()
	if err != nil {
		t.Fatal(err)
	}
	var all []listed
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p listed
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		// Packages of tests alone, such as this one, have no imports that matter.
		if len(p.Imports) > 0 {
			all = append(all, p)
		}
	}
}

func TestArrowsPointDown(t *testing.T) {
	for _, p := range packages(t) {
		may, known := arrows[p.name()]
		if !known {
			t.Errorf("%s is not among the arrows of this test", p.name())
			continue
		}
		for _, path := range p.Imports {
			if to, ours := strings.CutPrefix(path, "wsd/"); ours && !slices.Contains(may, to) {
				t.Errorf("%s must not import %s", p.name(), to)
			}
			if !mayImport(p.name(), path) || slices.Contains(pure, p.name()) && slices.Contains(impure, path) && spared[p.name()] != path {
				t.Errorf("%s must not import %s", p.name(), path)
			}
		}
	}
}

func mayImport(name, path string) bool {
	for prefix, allowed := range foreign {
		isPrefix := func(p string) bool { return p == name || strings.HasSuffix(p, "/") && strings.HasPrefix(name, p) }
		if (path == prefix || strings.HasSuffix(prefix, "/") && strings.HasPrefix(path, prefix)) && !slices.ContainsFunc(allowed, isPrefix) {
			return false
		}
	}
	return true
}

// The table has no arrow that goes round in a circle, whatever the code does
// with it.
func TestArrowsHaveNoCircle(t *testing.T) {
	var below func(name string, path []string)
	below = func(name string, path []string) {
		if slices.Contains(path, name) {
			t.Fatalf("a circle: %s -> %s", strings.Join(path, " -> "), name)
		}
		for _, to := range arrows[name] {
			below(to, append(path, name))
		}
	}
	for name := range arrows {
		below(name, nil)
	}
}

func TestEveryPackageSaysWhatItIsFor(t *testing.T) {
	for _, p := range packages(t) {
		begins := "Package " + p.name()[strings.LastIndex(p.name(), "/")+1:] + " "
		if strings.HasPrefix(p.name(), "cmd/") || p.name() == "bench/attack" {
			begins = "Command "
		}
		if p.Doc == "" || !strings.HasPrefix(p.Doc, begins) && !strings.HasPrefix(p.name(), "examples/") {
			t.Errorf("%s: its doc comment begins %q, want %q", p.name(), p.Doc, begins)
		}
	}
}

// A library says the field, its value and its bound. Which flag that is only
// cmd/wsd knows. (host has text for people who start containers, bench is a
// command in a package.)
func TestLibrariesNameNoFlags(t *testing.T) {
	flag := regexp.MustCompile(`(^|[^-\w])--[a-z]`)
	for _, dir := range []string{"admin", "auth", "cluster", "cluster/embed", "conn", "dispatch", "netpoll", "server", "topic"} {
		files, err := filepath.Glob(filepath.Join(dir, "*.go"))
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %v, no files", dir, err)
		}
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			set := token.NewFileSet()
			parsed, err := parser.ParseFile(set, file, nil, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			ast.Inspect(parsed, func(n ast.Node) bool {
				if text, ok := n.(*ast.BasicLit); ok && text.Kind == token.STRING && flag.MatchString(text.Value) {
					t.Errorf("%s: %s names a flag", set.Position(text.Pos()), text.Value)
				}
				return true
			})
		}
	}
}
