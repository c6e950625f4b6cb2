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

Every setting of ` + "`wsd serve`" + ` has one name. It can be given in three places; if it is given in more than one, the upper row of
this table counts:

| place | form |
| --- | --- |
| command line | ` + "`--max-clients=50000`" + ` |
| environment | ` + "`WSD_MAX_CLIENTS=50000`" + ` |
| file | ` + "`max-clients: 50000`" + ` in the YAML file of ` + "`--config`" + ` |

A setting that is given nowhere has its default.

` + "`wsd serve --print-config`" + ` prints the configuration in effect, as such a file. It starts nothing.

An unknown key is an error, and so is a value that makes no sense. The error names key and value, and the exit code is 2. Some
errors only show at the start, as an address that is taken or a file that is missing. Then the exit code is 1.

- **Sizes** are bytes, or have a unit: ` + "`512B`, `64KiB`, `1GiB`" + `.
- **Durations** have a unit: ` + "`500ms`, `30s`, `2m`" + `. Time-outs go up to 1000h.
- **Lists**: repeat the flag, or put commas between the items: ` + "`--origins=https://a.example,https://b.example`" + `. In the file, write
  a YAML list. A list in one place replaces that of another. Blanks around an item do not count. An empty item is an error,
  and so is one that is there twice.
- **Switches** are turned off again by ` + "`--no-…`" + `.
- **Variables** that are empty count as not set.
- **Origins** say which web pages may connect. They are compared as browsers send them (RFC 6454):
  - ` + "`https://Example.org:443/` is the same as `https://example.org`" + `.
  - An internationalised name is compared in its ASCII form: ` + "`https://bücher.example` is `https://xn--bcher-kva.example`" + `.
  - ` + "`https://*.example.org`" + ` is all names below, not itself. ` + "`https://*`" + ` is all origins of a scheme. ` + "`example.org`" + ` is any
    scheme and any port.
  - ` + "`null`" + ` is what pages without an origin send: sandboxed frames and files. Any page can put itself into such a frame. So
    only ` + "`*`" + ` and ` + "`null`" + ` itself allow it.
- **Hosts** without a port allow all ports. With ` + "`:80` or `:443`" + ` they also allow a header without a port, because browsers leave
  out the port of their scheme.
- **Paths** are compared in the form of RFC 3986, section 6.2.2: ` + "`/über` is `/%C3%BCber`, and `/%7Ea` is `/~a`" + `.
- **Files** of text (the configuration, a scenario) may begin with a byte order mark, which is skipped. In a token or a secret it is
  an error.

[limits.md](limits.md) says what happens where two limits meet.
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
