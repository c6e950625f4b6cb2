package main

import (
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

// outline is the commands that the help shows, each before its own: what the
// manual pages and the completions are written from.
func outline(node *kong.Node) []*kong.Node {
	nodes := []*kong.Node{node}
	for _, child := range subcommands(node) {
		nodes = append(nodes, outline(child)...)
	}
	return nodes
}

func subcommands(node *kong.Node) []*kong.Node {
	return slices.DeleteFunc(slices.Clone(node.Children), func(n *kong.Node) bool { return n.Hidden })
}

// fullName is what is typed, as in "wsd tune check".
func fullName(node *kong.Node) string {
	if node.Parent == nil {
		return node.Name
	}
	return fullName(node.Parent) + " " + node.Name
}

// ownFlags are the flags that a command takes: its own, those of its parents
// last, and those of the command that it means when none is named.
func ownFlags(node *kong.Node) []*kong.Flag {
	var flags []*kong.Flag
	add := func(n *kong.Node) {
		for _, f := range n.Flags {
			if !f.Hidden {
				flags = append(flags, f)
			}
		}
	}
	add(node)
	if node.DefaultCmd != nil {
		add(node.DefaultCmd)
	}
	for n := node.Parent; n != nil; n = n.Parent {
		add(n)
	}
	return flags
}

// spellings are the ways to write a flag: one, two for a switch that can be
// turned off again.
func spellings(f *kong.Flag) []string {
	names := []string{"--" + f.Name}
	if f.Tag.Negatable != "" {
		names = append(names, "--no-"+f.Name)
	}
	return names
}

// choices are the values that there are, none if that is not known.
func choices(v *kong.Value) []string {
	if v.Enum == "" {
		return nil
	}
	return v.EnumSlice()
}

// isFile reports whether a flag takes the name of a file, going by the help.
func isFile(f *kong.Flag) bool {
	return f.PlaceHolder == "FILE" || strings.HasPrefix(f.Tag.Type, "existing")
}

// firstSentence is enough where there is one line for a flag.
func firstSentence(help string) string {
	for _, end := range [...]string{". ", "; ", ": "} {
		help, _, _ = strings.Cut(help, end)
	}
	return strings.TrimSuffix(help, ".")
}
