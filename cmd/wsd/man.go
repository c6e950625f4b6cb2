package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"

	"github.com/alecthomas/kong"
)

// manCmd writes the manual pages from the flags: one for the program and one
// for each of its commands, with the commands below it as sections.
type manCmd struct {
	Date string `env:"-" placeholder:"YYYY-MM-DD" help:"Date on the pages."`
	Dir  string `arg:"" placeholder:"DIR" help:"Directory to write to; it is made if need be."`
}

func (c *manCmd) Run(ctx *kong.Context) error {
	if err := os.MkdirAll(c.Dir, 0o755); err != nil {
		return err
	}
	for _, page := range manPages(ctx.Model.Node, c.Date) {
		var text bytes.Buffer
		if err := templates.ExecuteTemplate(&text, "manual.1", page); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(c.Dir, page.Name+".1"), text.Bytes(), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// manPage is a page as the template wants it.
type manPage struct {
	Name, Title, Command, Summary, Date, Version string
	Commands                                     []described
	SeeAlso                                      []string
	Last                                         int // index of SeeAlso
}

func manPages(root *kong.Node, date string) []manPage {
	all := describe(root)
	names := []string{root.Name}
	for _, child := range subcommands(root) {
		names = append(names, fullName(child))
	}
	var pages []manPage
	for _, name := range names {
		page := manPage{Version: version, Date: date, Command: name}
		page.Name = strings.ReplaceAll(name, " ", "-")
		page.Title = strings.ToUpper(page.Name)
		for _, d := range all {
			if d.Name == name || name != root.Name && strings.HasPrefix(d.Name, name+" ") {
				page.Commands = append(page.Commands, d)
			}
		}
		page.Summary = lowerFirst(strings.TrimSuffix(page.Commands[0].Help, "."))
		for _, other := range names {
			if other != name {
				page.SeeAlso = append(page.SeeAlso, strings.ReplaceAll(other, " ", "-"))
			}
		}
		page.Last = len(page.SeeAlso) - 1
		pages = append(pages, page)
	}
	return pages
}

func lowerFirst(text string) string {
	if len(text) > 1 && text[1] != ' ' {
		return strings.ToLower(text[:1]) + text[1:]
	}
	return text
}

// roff keeps a text from being taken for a request or an escape.
func roff(text string) string {
	text = strings.NewReplacer(`\`, `\e`, "-", `\-`, "\n", " ").Replace(text)
	if strings.HasPrefix(text, ".") || strings.HasPrefix(text, "'") {
		return `\&` + text
	}
	return text
}
