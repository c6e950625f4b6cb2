package host

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// fixtures are the recorded hosts: what each is stands at the top of its file.
var fixtures = []string{"vm-6.18", "container", "conntrack-full", "netns-conntrack-full", "centos7-3.10"}

// record lays a recorded host out below a directory of its own and returns that
// directory, for Read and Apply.
func record(t testing.TB, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name+".txt"))
	if err != nil {
		t.Fatal(err)
	}
	root := t.TempDir()
	parts := strings.Split(string(b), "\n== ")
	for _, part := range parts[1:] {
		file, text, ok := strings.Cut(part, " ==")
		if !ok {
			t.Fatalf("%s: section %q has no end", name, part)
		}
		put(t, root, file, strings.TrimPrefix(text, "\n")+"\n")
	}
	return root
}

// put writes one file of a host.
func put(t testing.TB, root, file, text string) {
	t.Helper()
	path := filepath.Join(root, file)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func get(t testing.TB, root, file string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(root, file))
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(b))
}

func facts(t testing.TB, name string) Facts {
	t.Helper()
	f, err := Read(record(t, name))
	if err != nil {
		t.Fatal(err)
	}
	f.PageSize = 4096 // all were recorded on such machines
	return f
}

// find returns the item of a name.
func find(t testing.TB, items []Item, name string) Item {
	t.Helper()
	for _, it := range items {
		if it.Name == name {
			return it
		}
	}
	t.Fatalf("no item %q", name)
	return Item{}
}
