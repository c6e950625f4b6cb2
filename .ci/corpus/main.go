// Command corpus keeps, for every fuzz target of the module, the fewest inputs
// with the coverage of all: of those in testdata/fuzz and those that fuzzing on
// this machine has found, which go lays up in its cache. What it keeps is in
// testdata/fuzz, where "go test" runs each as a seed and fuzzing begins with it.
//
// Coverage is, for each block of the package, how often it ran, in powers of two,
// as fuzzing counts it. What the target's own seeds (f.Add) cover, no file needs
// to. An input over maxSize is left out. A file whose name is no hash was put
// there by hand, and stays.
package main

import (
	"bytes"
	"cmp"
	"flag"
	"fmt"
	"log"
	"math/bits"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// maxSize is that of a file in bytes: the hundreds of them have to stay small.
const maxSize = 4 << 10

var (
	declared = regexp.MustCompile(`(?m)^func (Fuzz\w+)\(f \*testing\.F\)`)
	hash     = regexp.MustCompile(`^[0-9a-f]{16}$`)
)

func main() {
	log.SetFlags(0)
	only := flag.String("run", ".", "targets, as in conn/FuzzFeed, that match this")
	flag.Parse()
	wanted := regexp.MustCompile(*only)
	files := strings.Fields(output("git", "ls-files", "--cached", "--others", "--exclude-standard", "*_test.go", ":!bench/peers"))
	cache := filepath.Join(strings.TrimSpace(output("go", "env", "GOCACHE")), "fuzz")
	module := strings.TrimSpace(output("go", "list", "-m"))
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			log.Fatal(err)
		}
		if bytes.HasPrefix(text, []byte("//go:build faults\n")) {
			continue // what an input covers depends on the time there: its corpus is chosen by hand
		}
		for _, m := range declared.FindAllSubmatch(text, -1) {
			t := target{dir: filepath.Dir(file), name: string(m[1])}
			if !wanted.MatchString(t.dir + "/" + t.name) {
				continue
			}
			t.found = filepath.Join(cache, module, t.dir, t.name)
			if err := t.minimise(); err != nil {
				log.Fatalf("%s %s: %v", t.dir, t.name, err)
			}
		}
	}
}

func output(name string, args ...string) string {
	cmd := exec.Command(name, args...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		log.Fatalf("%v: %v", cmd, err)
	}
	return string(out)
}

// target is one fuzz target.
type target struct {
	dir, name string
	found     string // what fuzzing has found
	work      string // where the test runs, with all inputs as seeds
	program   string
}

// input is a file of the corpus, and what it covers.
type input struct {
	name    string
	text    []byte
	covers  map[feature]bool
	byHand  bool
	problem error
}

// feature is a block of the code, and about how often it ran.
type feature struct {
	block string
	times int // bits of the count
}

func (t *target) seeds() string { return filepath.Join(t.dir, "testdata", "fuzz", t.name) }

func (t *target) minimise() error {
	all, err := t.inputs()
	if err != nil || len(all) == 0 {
		return err
	}
	if err := t.build(all); err != nil {
		return err
	}
	defer os.RemoveAll(t.work)
	// Those of the target's own seeds, whose names begin so. There may be none.
	covered, _ := t.run("^" + t.name + "$/^seed#")
	if covered == nil {
		covered = map[feature]bool{}
	}
	places := make(chan struct{}, runtime.NumCPU())
	var running sync.WaitGroup
	for i := range all {
		places <- struct{}{}
		running.Go(func() {
			defer func() { <-places }()
			all[i].covers, all[i].problem = t.run("^" + t.name + "$/^" + regexp.QuoteMeta(all[i].name) + "$")
		})
	}
	running.Wait()
	for _, in := range all {
		if in.problem != nil {
			return fmt.Errorf("input %s fails: %w", in.name, in.problem)
		}
	}
	kept := choose(all, covered)
	return t.write(all, kept)
}

// inputs are those of the repository and of the cache.
func (t *target) inputs() (all []input, err error) {
	seen := map[string]bool{}
	for _, dir := range []string{t.seeds(), t.found} {
		files, _ := os.ReadDir(dir) // there may be none
		for _, f := range files {
			text, err := os.ReadFile(filepath.Join(dir, f.Name()))
			if err != nil {
				return nil, err
			}
			byHand := !hash.MatchString(f.Name())
			if !seen[f.Name()] && (byHand || len(text) <= maxSize) {
				seen[f.Name()] = true
				all = append(all, input{name: f.Name(), text: text, byHand: byHand})
			}
		}
	}
	return all, nil
}

// build builds the test, and a folder for it to run in that has all inputs, and
// whatever else the tests read.
func (t *target) build(all []input) (err error) {
	if t.work, err = os.MkdirTemp("", "corpus"); err != nil {
		return err
	}
	t.program = filepath.Join(t.work, "test")
	if out, err := exec.Command("go", "test", "-c", "-covermode=count", "-o", t.program, "./"+t.dir).CombinedOutput(); err != nil {
		return fmt.Errorf("%w\n%s", err, out)
	}
	seeds := filepath.Join(t.work, t.seeds())
	if err := os.MkdirAll(seeds, 0o700); err != nil {
		return err
	}
	for _, in := range all {
		if err := os.WriteFile(filepath.Join(seeds, in.name), in.text, 0o600); err != nil {
			return err
		}
	}
	others, _ := filepath.Glob(filepath.Join(t.dir, "testdata", "*"))
	for _, other := range others {
		if filepath.Base(other) == "fuzz" {
			continue
		}
		from, err := filepath.Abs(other)
		if err != nil {
			return err
		}
		if err := os.Symlink(from, filepath.Join(t.work, other)); err != nil {
			return err
		}
	}
	return nil
}

// run runs some of the inputs and says what they cover.
func (t *target) run(pattern string) (map[feature]bool, error) {
	profile, err := os.CreateTemp(t.work, "profile")
	if err != nil {
		return nil, err
	}
	profile.Close()
	cmd := exec.Command(t.program, "-test.run", pattern, "-test.coverprofile", profile.Name(), "-test.timeout", "1m")
	cmd.Dir = filepath.Join(t.work, t.dir)
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%w\n%s", err, out)
	}
	text, err := os.ReadFile(profile.Name())
	if err != nil {
		return nil, err
	}
	covers := map[feature]bool{}
	for line := range bytes.Lines(text) {
		// file.go:12.3,14.5 statements count
		f := strings.Fields(string(line))
		if len(f) != 3 {
			continue
		}
		if n, err := strconv.ParseUint(f[2], 10, 64); err == nil && n > 0 {
			for b := bits.Len64(n); b > 0; b-- { // who runs often covers seldom as well
				covers[feature{f[0], b}] = true
			}
		}
	}
	return covers, nil
}

// choose takes, again and again, the input that adds the most for its size, until
// none adds anything. It is not the least number there can be, but close.
func choose(all []input, covered map[feature]bool) (kept []*input) {
	take := func(in *input) {
		for f := range in.covers {
			covered[f] = true
		}
		kept = append(kept, in)
	}
	var rest []*input
	for i := range all {
		if all[i].byHand {
			take(&all[i])
		} else {
			rest = append(rest, &all[i])
		}
	}
	worth := func(in *input) float64 {
		n := 0
		for f := range in.covers {
			if !covered[f] {
				n++
			}
		}
		return float64(n) / float64(64+len(in.text)) // a file costs something by itself
	}
	for len(rest) > 0 {
		best := slices.MaxFunc(rest, func(a, b *input) int {
			return cmp.Or(cmp.Compare(worth(a), worth(b)), cmp.Compare(b.name, a.name))
		})
		if worth(best) == 0 {
			break
		}
		take(best)
		rest = slices.DeleteFunc(rest, func(in *input) bool { return in == best })
	}
	return kept
}

// write leaves those that are kept in the repository.
func (t *target) write(all []input, kept []*input) error {
	if err := os.RemoveAll(t.seeds()); err != nil {
		return err
	}
	size := 0
	for _, in := range kept {
		if err := os.MkdirAll(t.seeds(), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(t.seeds(), in.name), in.text, 0o644); err != nil {
			return err
		}
		size += len(in.text)
	}
	fmt.Printf("%-28s %4d of %4d inputs kept, %6d bytes\n", t.dir+" "+t.name, len(kept), len(all), size)
	return nil
}
