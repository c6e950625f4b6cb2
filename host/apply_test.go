package host

import (
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// tuned is a recorded host, the state file of its changes, and what it needs.
type tuned struct {
	root, state string
	n           Needs
}

func newTuned(t *testing.T, name string) tuned {
	root := record(t, name)
	// A number that each of the hosts could be tuned for, but for its limits.
	return tuned{root, filepath.Join(t.TempDir(), "state", "tune.json"), Needs{Clients: 700_000, LoadGenerator: true}}
}

func (h tuned) plan(t *testing.T) []Item {
	t.Helper()
	f, err := Read(h.root)
	if err != nil {
		t.Fatal(err)
	}
	f.PageSize = 4096
	return Plan(f, h.n)
}

func (h tuned) apply(t *testing.T, dry bool) []Change {
	t.Helper()
	c, err := Apply(h.root, h.state, h.plan(t), dry)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func (h tuned) revert(t *testing.T, dry bool) []Change {
	t.Helper()
	c, err := Revert(h.root, h.state, dry)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// files is the whole tree, white space evened out as the kernel does.
func (h tuned) files(t *testing.T) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := fs.WalkDir(os.DirFS(h.root), ".", func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			out[path] = strings.Join(strings.Fields(chosen(get(t, h.root, path))), " ")
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func done(changes []Change) (n int) {
	for _, c := range changes {
		if c.Done {
			n++
		}
	}
	return n
}

func TestApplyAndRevert(t *testing.T) {
	for _, name := range fixtures {
		h := newTuned(t, name)
		before := h.files(t)
		dry := h.apply(t, true)
		if after := h.files(t); !maps.Equal(before, after) || done(dry) != 0 {
			t.Errorf("%s: a dry run changed something: %v", name, dry)
		}
		if _, err := os.Stat(h.state); err == nil {
			t.Errorf("%s: a dry run left a state file", name)
		}
		changes := h.apply(t, false)
		if done(changes) == 0 {
			t.Errorf("%s: nothing applied", name)
		}
		for i, c := range changes {
			if c.Before != dry[i].Before || c.After != dry[i].After {
				t.Errorf("%s: applied %v, the dry run said %v", name, c, dry[i])
			}
			if !c.Done && c.Note == "" {
				t.Errorf("%s: %s was not done and nothing says why", name, c.Key)
			}
		}
		neverLower(t, before, h.files(t))
		for _, it := range h.plan(t) {
			if it.Setting != nil && (it.Verdict == Warn || it.Verdict == Fail) {
				t.Errorf("%s: still %s after apply: %+v", name, it.Verdict, it)
			}
		}
		if again := h.apply(t, false); done(again) != 0 {
			t.Errorf("%s: a second apply changed %v", name, again)
		}
		if c := h.revert(t, true); done(c) != 0 || len(c) != done(changes) {
			t.Errorf("%s: dry revert of %d changes: %v", name, done(changes), c)
		}
		if c := h.revert(t, false); done(c) != done(changes) {
			t.Errorf("%s: reverted %v of %v", name, c, changes)
		}
		if after := h.files(t); !maps.Equal(before, after) {
			t.Errorf("%s: after revert the host is not as it was", name)
		}
		if c := h.revert(t, false); len(c) != 0 {
			t.Errorf("%s: a second revert did %v", name, c)
		}
		if left, _ := os.ReadDir(filepath.Dir(h.state)); len(left) != 0 {
			t.Errorf("%s: left behind: %v", name, left)
		}
	}
}

// neverLower compares all numbers; a port range may start lower.
func neverLower(t *testing.T, before, after map[string]string) {
	t.Helper()
	for path, old := range before {
		a, b := parseNumbers(old), parseNumbers(after[path])
		if len(a) != len(b) {
			t.Errorf("%s: %q became %q", path, old, after[path])
		}
		for i := range a {
			if b[i] < a[i] && !(strings.HasSuffix(path, "ip_local_port_range") && i == 0) {
				t.Errorf("%s lowered: %q became %q", path, old, after[path])
			}
		}
	}
}

// TestMergeNeverLowers draws both sides.
func TestMergeNeverLowers(t *testing.T) {
	for range 2000 {
		s := &Setting{Values: make([]int64, 1+rand.IntN(3)), widens: rand.IntN(2) == 0}
		now := make([]int64, len(s.Values))
		for i := range now {
			s.Values[i], now[i] = rand.Int64N(100), rand.Int64N(100)
		}
		got := parseNumbers(s.merge(numberList(now)))
		for i := range now {
			low, high := max(s.Values[i], now[i]), max(s.Values[i], now[i])
			if s.widens && i == 0 {
				low, high = min(s.Values[i], now[i]), min(s.Values[i], now[i])
			}
			if got[i] < low || got[i] > high {
				t.Fatalf("%v into %v gives %v", s.Values, now, got)
			}
		}
		if again := s.merge(numberList(got)); again != numberList(got) {
			t.Fatalf("merging twice: %v, then %v", got, again)
		}
	}
}

// TestApplyTwiceKeepsTheFirstValues: needs grow, and revert goes back to before
// the first apply.
func TestApplyTwiceKeepsTheFirstValues(t *testing.T) {
	h := newTuned(t, "vm-6.18")
	before := h.files(t)
	h.n.Clients = 200_000
	h.apply(t, false)
	middle := h.files(t)
	h.n.Clients = 1_000_000
	h.apply(t, false)
	if maps.Equal(middle, h.files(t)) {
		t.Fatal("the second apply changed nothing")
	}
	h.revert(t, false)
	if !maps.Equal(before, h.files(t)) {
		t.Error("not back at the first values")
	}
}

func TestRevertLeavesWhatOthersChanged(t *testing.T) {
	h := newTuned(t, "vm-6.18")
	h.apply(t, false)
	put(t, h.root, "proc/sys/net/core/somaxconn", "20000\n")
	var c Change
	for _, c = range h.revert(t, false) {
		if c.Key == "net.core.somaxconn" {
			break
		}
	}
	if c.Done || !strings.Contains(c.Note, "somebody else") || get(t, h.root, "proc/sys/net/core/somaxconn") != "20000" {
		t.Errorf("reverted over somebody else's value: %+v", c)
	}
	if _, err := os.Stat(h.state); err == nil {
		t.Error("the state file is still there")
	}
}

// TestCrashBeforeTheWrite: the state file names values that were not set, because
// the process died in between, at the first or at a later apply.
func TestCrashBeforeTheWrite(t *testing.T) {
	const file = "proc/sys/net/core/somaxconn"
	h := newTuned(t, "vm-6.18")
	st, err := currentState(h.root, h.state)
	if err != nil {
		t.Fatal(err)
	}
	set := sysctl("net.core.somaxconn", 8192)
	st.note(set, "4096", "8192")
	if err := st.save(h.state); err != nil {
		t.Fatal(err)
	}
	h.revert(t, false)
	if got := get(t, h.root, file); got != "4096" {
		t.Errorf("%s after a crash before the first write: %s", file, got)
	}
	st.note(set, "8192", "16384")
	if err := st.save(h.state); err != nil {
		t.Fatal(err)
	}
	put(t, h.root, file, "8192\n")
	h.revert(t, false)
	if got := get(t, h.root, file); got != "4096" {
		t.Errorf("%s after a crash before the second write: %s", file, got)
	}
}

func TestAnotherBootForgets(t *testing.T) {
	h := newTuned(t, "vm-6.18")
	h.apply(t, false)
	put(t, h.root, "proc/sys/kernel/random/boot_id", "another\n")
	put(t, h.root, "proc/sys/net/core/somaxconn", "4096\n")
	changes := h.revert(t, false)
	if done(changes) != 0 || len(changes) == 0 || !strings.Contains(changes[0].Note, "boot") {
		t.Errorf("revert after a boot: %v", changes)
	}
	if _, err := os.Stat(h.state); err == nil {
		t.Error("the state file is still there")
	}
	// And an apply after a boot does not mix the two.
	h.apply(t, false)
	put(t, h.root, "proc/sys/kernel/random/boot_id", "a third\n")
	put(t, h.root, "proc/sys/net/core/somaxconn", "5000\n")
	h.apply(t, false)
	h.revert(t, false)
	if got := get(t, h.root, "proc/sys/net/core/somaxconn"); got != "5000" {
		t.Errorf("somaxconn %s, want the value of this boot", got)
	}
}

// TestRefusedWrites puts a real kernel file that nobody can write in place of a
// setting: it is told with who can, the rest is applied, and nothing of it is
// kept to be reverted.
func TestRefusedWrites(t *testing.T) {
	const refused, key = "/proc/sys/kernel/ngroups_max", "net.core.somaxconn"
	if f, err := os.OpenFile(refused, os.O_WRONLY, 0); err == nil {
		f.Close()
		t.Fatalf("%s can be written here", refused)
	}
	h := newTuned(t, "vm-6.18")
	items := h.plan(t)
	path := filepath.Join(h.root, sysctlPath(key))
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(refused, path); err != nil {
		t.Fatal(err)
	}
	find(t, items, key).Setting.Values[0] = 1 << 30
	dry, err := Apply(h.root, h.state, items, true)
	if err != nil {
		t.Fatal(err)
	}
	changes, err := Apply(h.root, h.state, items, false)
	if err != nil {
		t.Fatal(err)
	}
	for i := range dry {
		dry[i].Done = changes[i].Done
	}
	if !slices.Equal(dry, changes) {
		t.Errorf("the dry run said %v, done was %v", dry, changes)
	}
	i := slices.IndexFunc(changes, func(c Change) bool { return c.Key == key })
	if c := changes[i]; c.Done || !c.Failed || c.Before != c.After || !strings.Contains(c.Note, "refused") || !strings.Contains(c.Note, "`wsd tune apply` sets") {
		t.Errorf("refused change: %+v", c)
	}
	if done(changes) == 0 {
		t.Error("one refusal stopped the others")
	}
	if strings.Contains(get(t, filepath.Dir(h.state), filepath.Base(h.state)), key) {
		t.Error("the state file keeps a change that was not made")
	}
	for _, c := range h.revert(t, false) {
		if c.Key == key {
			t.Errorf("revert touched it: %+v", c)
		}
	}
}

// TestRevertRefused keeps what could not be restored.
func TestRevertRefused(t *testing.T) {
	const refused = "/proc/sys/kernel/ngroups_max"
	h := newTuned(t, "vm-6.18")
	now := get(t, "/", refused)
	st := state{Version: stateVersion, Boot: bootID(h.root)}
	st.note(sysctl("net.core.somaxconn"), "1", now)
	if err := st.save(h.state); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(h.root, "proc/sys/net/core/somaxconn")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	for _, target := range []string{refused, h.root} {
		if err := os.Symlink(target, path); err != nil {
			t.Fatal(err)
		}
		if c := h.revert(t, false); len(c) != 1 || c[0].Done || !c[0].Failed || c[0].Note == "" {
			t.Errorf("revert through %s: %+v", target, c)
		}
		if _, err := os.Stat(h.state); err != nil {
			t.Errorf("the value to restore is forgotten: %v", err)
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
}

// TestStateThatCannotBeKept stops before the first change.
func TestStateThatCannotBeKept(t *testing.T) {
	h := newTuned(t, "vm-6.18")
	before := h.files(t)
	h.state = filepath.Join(h.root, "proc/sys/kernel/osrelease/no-directory/tune.json")
	if _, err := Apply(h.root, h.state, h.plan(t), false); err == nil {
		t.Error("no error for a state file that cannot be written")
	}
	if !maps.Equal(before, h.files(t)) {
		t.Error("something was set although its old value could not be kept")
	}
}

func TestStateFilesThatAreRefused(t *testing.T) {
	for text, want := range map[string]string{
		"{":             "cannot be read",
		`{"version":2}`: "version 2",
		`{"version":1,"changed":[{"path":"proc/sys/../../etc/passwd"}]}`:       "no kernel setting",
		`{"version":1,"changed":[{"path":"../proc/sys/a"}]}`:                   "no kernel setting",
		`{"version":1,"changed":[{"path":"/proc/sys/a"}]}`:                     "no kernel setting",
		`{"version":1,"changed":[{"path":"etc/passwd","before":"x"}]}`:         "no kernel setting",
		`{"version":1,"changed":[{"path":"sys/power/state","before":"disk"}]}`: "no kernel setting",
		// Keys that there are and that apply never touches, and one at another's place.
		`{"version":1,"changed":[{"key":"kernel.core_pattern","path":"proc/sys/kernel/core_pattern","before":"|/tmp/x","set":["core"]}]}`:  "no kernel setting",
		`{"version":1,"changed":[{"key":"kernel.modprobe","path":"proc/sys/kernel/modprobe","before":"/tmp/x","set":["/sbin/modprobe"]}]}`: "no kernel setting",
		`{"version":1,"changed":[{"key":"fs.nr_open","path":"proc/sys/kernel/modprobe","before":"/tmp/x"}]}`:                               "no kernel setting",
		`{"version":1,"changed":[{"key":"transparent_hugepage","path":"proc/sys/fs/nr_open","before":"1"}]}`:                               "no kernel setting",
	} {
		h := newTuned(t, "vm-6.18")
		put(t, filepath.Dir(h.state), filepath.Base(h.state), text)
		for what, f := range map[string]func() error{
			"apply":  func() error { _, err := Apply(h.root, h.state, h.plan(t), false); return err },
			"revert": func() error { _, err := Revert(h.root, h.state, false); return err },
		} {
			if err := f(); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s with %s: error %v, want one that says %q", what, text, err, want)
			}
		}
	}
}

func TestChangeText(t *testing.T) {
	for want, c := range map[string]Change{
		"a: 1 -> 2":                      {Key: "a", Before: "1", After: "2", Done: true},
		"a: 1, left as it is (ask root)": {Key: "a", Before: "1", After: "1", Note: "ask root"},
		"a: 1 -> 3 (rounded)":            {Key: "a", Before: "1", After: "3", Done: true, Note: "rounded"},
	} {
		if got := fmt.Sprint(c); got != want {
			t.Errorf("%+v prints %q, want %q", c, got, want)
		}
	}
}
