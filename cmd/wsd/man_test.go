package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// readAll joins the files of a directory.
func readAll(t *testing.T, dir string) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%s: %d files, %v", dir, len(files), err)
	}
	var all strings.Builder
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(text)
	}
	return all.String()
}

func TestManualPages(t *testing.T) {
	pages := map[string]manPage{}
	for _, p := range manPages(model(t), "2026-11-22") {
		pages[p.Name] = p
	}
	for _, name := range []string{"wsd", "wsd-serve", "wsd-tune"} {
		if _, ok := pages[name]; !ok {
			t.Errorf("no page %s", name)
		}
	}
	tune := pages["wsd-tune"]
	if tune.Title != "WSD-TUNE" || len(tune.Commands) != 5 {
		t.Errorf("%s has %d commands, want itself and its four", tune.Title, len(tune.Commands))
	}
	if n := len(pages["wsd"].Commands); n != 1 {
		t.Errorf("the program's page describes %d commands, want the program alone", n)
	}
}

// Text is never taken for a request of the typesetter.
func TestRoff(t *testing.T) {
	for text, want := range map[string]string{
		"plain":      "plain",
		".TH x":      `\&.TH x`,
		"'so file":   `\&'so file`,
		`a\b --flag`: `a\eb \-\-flag`,
		"two\n.TH":   "two .TH",
	} {
		if got := roff(text); got != want {
			t.Errorf("%q becomes %q, want %q", text, got, want)
		}
	}
}
