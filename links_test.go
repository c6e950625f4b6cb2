package wsd_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode"
)

var (
	link    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading = regexp.MustCompile(`(?m)^#{1,6} +(.*?) *$`)
	code    = regexp.MustCompile("(?ms)^```.*?^```$")
)

// pages returns the text of every page of the repository by its path, without
// blocks of code.
func pages(t *testing.T) map[string]string {
	t.Helper()
	all := make(map[string]string)
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == "node_modules" || d.Name() == "testdata" || path != "." && strings.HasPrefix(d.Name(), ".")) {
			return fs.SkipDir
		}
		if !strings.HasSuffix(path, ".md") {
			return nil
		}
		text, err := os.ReadFile(path)
		all[path] = code.ReplaceAllString(string(text), "")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// anchor is the name that a heading can be linked by.
func anchor(heading string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == ' ':
			return '-'
		case r == '-' || r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r):
			return unicode.ToLower(r)
		}
		return -1
	}, heading)
}

// Every link of a page to another page, to a part of one, or to a file of the
// repository leads somewhere.
func TestLinks(t *testing.T) {
	all := pages(t)
	anchors := make(map[string]map[string]bool)
	for path, text := range all {
		anchors[path] = make(map[string]bool)
		for _, found := range heading.FindAllStringSubmatch(text, -1) {
			anchors[path][anchor(found[1])] = true
		}
	}
	links := 0
	for path, text := range all {
		for _, found := range link.FindAllStringSubmatch(text, -1) {
			if strings.Contains(found[1], "://") {
				continue
			}
			links++
			file, part, _ := strings.Cut(found[1], "#")
			target := path
			if file != "" {
				target = filepath.Join(filepath.Dir(path), file)
			}
			if _, err := os.Stat(target); err != nil {
				t.Errorf("%s: the link %s leads nowhere", path, found[1])
			} else if part != "" && !anchors[target][part] {
				t.Errorf("%s: the link %s leads to no heading of %s", path, found[1], target)
			}
		}
	}
	if links < 20 {
		t.Errorf("only %d links were found", links)
	}
}

// README leads to every page of docs.
func TestReadmeListsDocs(t *testing.T) {
	all := pages(t)
	for path := range all {
		if strings.HasPrefix(path, "docs/") && !strings.Contains(all["README.md"], "]("+path+")") {
			t.Errorf("README.md has no link to %s", path)
		}
	}
}
