package main

import (
	"embed"
	"io"
	"strings"
	"text/template"

	"github.com/alecthomas/kong"
)

// completionCmd prints what makes a shell complete the commands, flags and
// values of this program. It is written from the flags, so that it knows them
// all, and needs nothing at run time: a shell never waits for wsd.
type completionCmd struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"bash, zsh or fish."`
}

//go:embed templates
var templateFiles embed.FS

var templates = template.Must(template.New("").Funcs(template.FuncMap{
	"join": strings.Join, "bare": bare, "roff": roff, "quote": quote, "fish": fishQuote,
	"zshFlag": zshFlag, "zshRest": zshRest,
}).ParseFS(templateFiles, "templates/*"))

func (c *completionCmd) Run(ctx *kong.Context, stdout io.Writer) error {
	return templates.ExecuteTemplate(stdout, "completion."+c.Shell, describe(ctx.Model.Node))
}

// described is a command as the templates want it.
type described struct {
	Name     string // in full
	Path     string // without the program
	Help     string
	Detail   string
	Commands []described // Name is the last word
	Flags    []describedFlag
	Args     []string // what its argument may be
	Usage    string
	Groups   []describedGroup
}

type describedFlag struct {
	Names   []string
	Help    string
	Text    string // the whole of it
	Takes   bool
	Values  []string
	File    bool
	Holder  string
	Default string
	Envs    []string
}

// describedGroup are the flags under a title of the help.
type describedGroup struct {
	Title string
	Flags []describedFlag
}

func describe(root *kong.Node) []described {
	var all []described
	for _, node := range outline(root) {
		d := described{Name: fullName(node), Help: node.Help, Detail: node.Detail, Usage: usage(node)}
		d.Path = strings.TrimPrefix(strings.TrimPrefix(d.Name, root.Name), " ")
		for _, child := range subcommands(node) {
			d.Commands = append(d.Commands, described{Name: child.Name, Help: child.Help})
		}
		for _, f := range ownFlags(node) {
			d.addFlag(f)
		}
		for _, arg := range node.Positional {
			d.Args = append(d.Args, choices(arg)...)
		}
		all = append(all, d)
	}
	return all
}

// usage is the line of the help, which kong begins after the program's name.
func usage(node *kong.Node) string {
	if node.Parent == nil {
		return node.Name + " <command>"
	}
	root := node
	for root.Parent != nil {
		root = root.Parent
	}
	return root.Name + " " + node.Summary()
}

func (d *described) addFlag(f *kong.Flag) {
	flag := describedFlag{Names: spellings(f), Help: firstSentence(f.Help), Text: f.Help, Takes: !f.IsBool(),
		Values: choices(f.Value), File: isFile(f), Envs: f.Tag.Envs}
	if flag.Takes {
		flag.Holder, flag.Default = f.FormatPlaceHolder(), f.Default
	}
	d.Flags = append(d.Flags, flag)
	title := "Options"
	if f.Group != nil {
		title = f.Group.Title
	}
	for i := range d.Groups {
		if d.Groups[i].Title == title {
			d.Groups[i].Flags = append(d.Groups[i].Flags, flag)
			return
		}
	}
	d.Groups = append(d.Groups, describedGroup{title, []describedFlag{flag}})
}

func bare(flag string) string { return strings.TrimPrefix(flag, "--") }

// quote makes one word of a text, for a POSIX shell and its like.
func quote(text string) string { return "'" + strings.ReplaceAll(text, "'", `'"'"'`) + "'" }

func fishQuote(text string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, "'", `\'`).Replace(text) + "'"
}

// zshFlag describes one spelling of a flag to _arguments.
func zshFlag(f describedFlag, name string) string {
	spec := name
	if f.Takes {
		spec += "="
	}
	spec += "[" + strings.NewReplacer("[", `\[`, "]", `\]`).Replace(f.Help) + "]"
	switch {
	case f.Values != nil:
		spec += ":value:(" + strings.Join(f.Values, " ") + ")"
	case f.File:
		spec += ":file:_files"
	case f.Takes:
		spec += ":value: "
	}
	return quote(spec)
}

// zshRest describes what a command takes besides flags.
func zshRest(d described) string {
	switch {
	case d.Commands != nil:
		var list []string
		for _, c := range d.Commands {
			list = append(list, c.Name+`\:`+`"`+strings.NewReplacer(`"`, `\"`, ":", `\:`).Replace(firstSentence(c.Help))+`"`)
		}
		return quote("1:command:((" + strings.Join(list, " ") + "))")
	case d.Args != nil:
		return quote("1:choice:(" + strings.Join(d.Args, " ") + ")")
	}
	return quote("*: :")
}
