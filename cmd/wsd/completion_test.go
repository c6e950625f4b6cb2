package main

import (
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

func model(t *testing.T) *kong.Node {
	t.Helper()
	parser, err := newParser(new(cli), t.Output(), t.Output())
	if err != nil {
		t.Fatal(err)
	}
	return parser.Model.Node
}

// Every command and flag that the help shows is in the completion of each
// shell and in the manual pages.
func TestNothingIsMissing(t *testing.T) {
	dir := t.TempDir()
	if got := runProgram(t, nil, "man", "--date=2026-11-22", dir); got.code != exitOK {
		t.Fatal(got.stderr)
	}
	texts := map[string]string{"man": strings.ReplaceAll(readAll(t, dir), `\-`, "-")}
	for _, shell := range []string{"bash", "zsh", "fish"} {
		got := runProgram(t, nil, "completion", shell)
		if got.code != exitOK {
			t.Fatal(got.stderr)
		}
		texts[shell] = got.stdout
	}
	for _, d := range describe(model(t)) {
		for from, text := range texts {
			if !strings.Contains(text, d.Name) {
				t.Errorf("%s: no %s", from, d.Name)
			}
			for _, f := range d.Flags {
				for _, name := range f.Names {
					if from == "fish" {
						name = "-l " + bare(name) + " "
					}
					if !strings.Contains(text, name) {
						t.Errorf("%s: no %s of %s", from, name, d.Name)
					}
				}
			}
		}
	}
}

// bash offers what fits at the place. deploy/test.sh asks zsh and fish as well.
func TestBashCompletes(t *testing.T) {
	script := runProgram(t, nil, "completion", "bash").stdout +
		"\nCOMP_WORDS=(\"$@\"); COMP_CWORD=$(($# - 1)); _wsd; echo \"${COMPREPLY[@]}\""
	for line, want := range map[string]string{
		"wsd tu":                               "tune",
		"wsd tune c":                           "check",
		"wsd tune print s":                     "sysctl systemd",
		"wsd serve --slow-consumer drop":       "drop-new drop-old",
		"wsd serve --slow-consumer = drop":     "drop-new drop-old",
		"wsd serve --client-f":                 "--client-fanout",
		"wsd serve --path /ws --no-res":        "--no-restart",
		"wsd serve --config templates/manual.": "templates/manual.1",
		"wsd serve --path x":                   "",
		"wsd completion z":                     "zsh",
	} {
		args := append([]string{"-c", script}, strings.Fields("bash "+line)...)
		got, err := exec.Command("bash", args...).CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v: %s", line, err, got)
		}
		if strings.TrimSpace(string(got)) != want {
			t.Errorf("%s: offers %q, want %q", line, got, want)
		}
	}
}

func TestCommandsInTheCompletion(t *testing.T) {
	var names []string
	for _, n := range outline(model(t)) {
		names = append(names, fullName(n))
	}
	for _, want := range []string{"wsd", "wsd serve", "wsd tune", "wsd tune check"} {
		if !slices.Contains(names, want) {
			t.Errorf("%q is not among %q", want, names)
		}
	}
	for _, hidden := range []string{"wsd man", "wsd bench worker"} {
		if slices.Contains(names, hidden) {
			t.Errorf("%q is shown", hidden)
		}
	}
}
