package report

import (
	"bytes"
	"flag"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

var update = flag.Bool("update", false, "write the texts in testdata/golden anew")

// rawHist is a histogram's own format in a report: compressed, so that its bytes
// are those of one version of the compressor. TestHist holds what is in it.
var rawHist = regexp.MustCompile(`"hdr": "[^"]*"`)

// wantGolden compares got with a file of testdata/golden.
func wantGolden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", "golden", name)
	if *update && filepath.Ext(name) != ".json" {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	got, want = rawHist.ReplaceAll(got, nil), rawHist.ReplaceAll(want, nil)
	if !bytes.Equal(got, want) {
		at := 0
		for at < min(len(got), len(want)) && got[at] == want[at] {
			at++
		}
		near := func(text []byte) []byte { return text[min(max(at-200, 0), len(text)):min(at+100, len(text))] }
		t.Errorf("%s differs at byte %d: got ...\n%s\nwant ...\n%s", name, at, near(got), near(want))
	}
}

// The JSON of reports is read by programs of others: it has every field under
// its name and in its place, and leaves out what was not measured. The file is
// not to be written anew.
func TestGoldenReport(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("testdata", "golden", "report.json"))
	if err != nil {
		t.Fatal(err)
	}
	r, err := Read(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	checks, err := ParseAssertions([]string{"p99<1us,errors=0,the open.p50>1ns,cpu>0,the ramp.rate>1,last<1h,nowhere.up=1"})
	if err != nil {
		t.Fatal(err)
	}
	for name, write := range map[string]func(io.Writer) error{
		"report.json": r.WriteJSON,
		"table.txt":   func(w io.Writer) error { r.WriteTable(w); return nil },
		"page.html":   r.WriteHTML,
		"compare.txt": func(w io.Writer) error { return Compare(w, r, r) },
		"check.txt":   func(w io.Writer) error { r.Check(w, checks); return nil },
	} {
		var b bytes.Buffer
		if err := write(&b); err != nil {
			t.Fatal(err)
		}
		wantGolden(t, name, b.Bytes())
	}
}
