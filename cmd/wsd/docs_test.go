package main

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

var updateDocs = flag.Bool("update", false, "write docs/configuration.md anew instead of comparing")

const docsFile = "../../docs/configuration.md"

// docs/configuration.md says what the flags say. `make docs` writes it.
func TestConfigurationDocs(t *testing.T) {
	want := configurationDocs(serveModel(t))
	if *updateDocs {
		if err := os.WriteFile(docsFile, want, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	got, err := os.ReadFile(docsFile)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Error("docs/configuration.md is not what the flags say: run `make docs`")
	}
}

const docsIntro = `# Configuration

<!-- Written by "make docs" from the flags of cmd/wsd; change those. -->

Every setting of ` + "`wsd serve`" + ` has one name, and three places where it can be given:

| place | form | |
| --- | --- | --- |
| command line | ` + "`--max-clients=50000`" + ` | goes before all |
| environment | ` + "`WSD_MAX_CLIENTS=50000`" + ` | goes before the file |
| file | ` + "`max-clients: 50000`" + ` in the YAML file of ` + "`--config`" + ` | goes before the defaults |

` + "`wsd serve --print-config`" + ` prints the configuration in effect as such a file, without starting anything. A key that is
no setting is an error, as is a value that cannot be meant; both are named, and the exit code is 2. What only shows at
start (an address that is taken, a file that is missing) ends with exit code 1.

- **Sizes** are bytes, or carry a unit: ` + "`512B`, `64KiB`, `1GiB`" + `. **Durations** carry theirs: ` + "`500ms`, `30s`, `2m`" + `; time-outs go up to 1000h.
- **Lists** are given by repeating the flag, or with commas: ` + "`--origins=https://a.example,https://b.example`" + `; in the file
  as a YAML list. A list in one place replaces that of another.
  Blanks around an item do not count, and an item that is empty or there twice is an error.
- **Switches** can be turned off again by ` + "`--no-…`" + `.
- **Variables** that are empty are not set.
- **Origins** are compared as browsers send them (RFC 6454): ` + "`https://Example.org:443/` is `https://example.org`" + `, and an internationalised
  name its ASCII (` + "`https://bücher.example` is `https://xn--bcher-kva.example`" + `). ` + "`https://*.example.org`" + ` is all names below, not itself; ` + "`https://*`" + `
  all of a scheme; ` + "`example.org`" + ` any scheme and port. ` + "`null`" + ` is what pages without an origin send (sandboxed frames, files), so any
  page can: only ` + "`*`" + ` and ` + "`null`" + ` itself allow it.
- **Hosts** without a port allow all ports. With ` + "`:80` or `:443`" + ` they allow a header without one, too: browsers leave out their scheme's own.
- **Paths** are compared in the form of RFC 3986, section 6.2.2: ` + "`/über` is `/%C3%BCber`, `/%7Ea` is `/~a`" + `.
- **Files**: a byte order mark is skipped in text (the configuration, a scenario), and refused in a token or a secret.

Two limits can meet: [limits.md](limits.md) says what happens then.
`

// configurationDocs writes one table for each group of the help.
func configurationDocs(serve *kong.Node) []byte {
	var out bytes.Buffer
	out.WriteString(docsIntro)
	for _, group := range groups {
		fmt.Fprintf(&out, "\n## %s\n\n| flag | default | |\n| --- | --- | --- |\n", group.Title)
		for _, f := range settings(serve) {
			if f.Group == nil || f.Group.Key != group.Key {
				continue
			}
			fmt.Fprintf(&out, "| `--%s` | %s | %s |\n", f.Name, docsDefault(f), strings.ReplaceAll(f.Help, "|", "\\|"))
		}
	}
	return out.Bytes()
}

func docsDefault(f *kong.Flag) string {
	switch {
	case f.IsBool():
		return "off"
	case f.HasDefault:
		return "`" + f.Default + "`"
	}
	return ""
}

// docs/limits.md places every limit beside those that it meets.
func TestEveryLimitMeetsAnother(t *testing.T) {
	page, err := os.ReadFile("../../docs/limits.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range settings(serveModel(t)) {
		switch f.Target.Interface().(type) {
		case count, size, span, *size, *span:
			if !bytes.Contains(page, []byte("`"+f.Name+"`")) {
				t.Errorf("docs/limits.md does not say where --%s meets another limit", f.Name)
			}
		}
	}
}
