package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
	"go.yaml.in/yaml/v3"
)

// configFile is the --config flag. Its values rank below those of the command
// line and the environment, and above the defaults.
type configFile string

// BeforeResolve reads the file once the name is known, from wherever: kong
// calls it for every flag that has a value.
func (c configFile) BeforeResolve(ctx *kong.Context, trace *kong.Path) error {
	file, ok := ctx.FlagValue(trace.Flag).(configFile)
	if !ok || file == "" {
		return nil
	}
	values, err := readConfig(string(file), settings(ctx.Selected()))
	if err != nil {
		return err
	}
	ctx.AddResolver(values)
	return nil
}

// settings are the flags of a command that a file may set: those with an
// environment variable, but for the one that names the file.
func settings(cmd *kong.Node) []*kong.Flag {
	var flags []*kong.Flag
	for _, flag := range cmd.Flags {
		if len(flag.Envs) > 0 && flag.Name != "config" {
			flags = append(flags, flag)
		}
	}
	return flags
}

// fileValues has the value of each key: a string as it would stand on a command
// line, or a list of them.
type fileValues map[string]any

// Validate has nothing to add: readConfig knew the flags.
func (v fileValues) Validate(*kong.Application) error { return nil }

// Resolve is only asked for flags that the command line leaves open. The
// environment goes first.
func (v fileValues) Resolve(_ *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
	if slices.ContainsFunc(flag.Envs, isSet) {
		return nil, nil
	}
	return v[flag.Name], nil
}

func isSet(env string) bool { _, ok := os.LookupEnv(env); return ok }

// readConfig reads a YAML mapping from names of flags to values. Errors name
// the file and the line.
func readConfig(file string, flags []*kong.Flag) (fileValues, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("--config: %w", err)
	}
	defer f.Close()
	var doc yaml.Node
	decoder := yaml.NewDecoder(f)
	if err := decoder.Decode(&doc); errors.Is(err, io.EOF) {
		return nil, nil // empty, or comments alone
	} else if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	if err := decoder.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%s: holds a second document: a configuration is one", file)
	}
	root := doc.Content[0]
	if root.Kind == yaml.ScalarNode && root.Tag == "!!null" {
		return nil, nil
	}
	if root.Kind != yaml.MappingNode {
		return nil, fmt.Errorf("%s:%d: not a mapping: write one \"flag: value\" a line", file, root.Line)
	}
	return readMapping(file, root, flags)
}

func readMapping(file string, root *yaml.Node, flags []*kong.Flag) (fileValues, error) {
	values := fileValues{}
	for i := 0; i < len(root.Content); i += 2 {
		key, node := root.Content[i], root.Content[i+1]
		at := fmt.Sprintf("%s:%d: ", file, key.Line)
		n := slices.IndexFunc(flags, func(f *kong.Flag) bool { return f.Name == key.Value })
		if n < 0 {
			return nil, fmt.Errorf("%sunknown key %q%s", at, key.Value, didYouMean(key.Value, flags))
		}
		if _, twice := values[key.Value]; twice {
			return nil, fmt.Errorf("%s%s is set a second time: keep one", at, key.Value)
		}
		value, err := nodeValue(node, flags[n].IsSlice())
		if err != nil {
			return nil, fmt.Errorf("%s%s: %w", at, key.Value, err)
		}
		values[key.Value] = value
	}
	return values, nil
}

// nodeValue gives a scalar as written, whatever YAML takes it for, and a list
// of them where the flag is repeatable.
func nodeValue(node *yaml.Node, list bool) (any, error) {
	if node.Kind == yaml.AliasNode {
		node = node.Alias
	}
	switch {
	case node.Kind == yaml.ScalarNode && node.Tag == "!!null":
		return nil, errors.New("has no value: write one, or leave the key out")
	case node.Kind == yaml.ScalarNode:
		return node.Value, nil
	case node.Kind == yaml.SequenceNode && list:
		items := []any{}
		for _, item := range node.Content {
			if item.Kind != yaml.ScalarNode || item.Tag == "!!null" {
				return nil, errors.New("has something in its list that is no plain value")
			}
			items = append(items, item.Value)
		}
		return items, nil
	case list:
		return nil, errors.New("takes a value or a list of them")
	}
	return nil, errors.New("takes one plain value")
}

// didYouMean names the flag nearest to a key, if one is near at all.
func didYouMean(key string, flags []*kong.Flag) string {
	best, distance := "", 1+len(key)/3
	for _, flag := range flags {
		if d := editDistance(strings.ReplaceAll(strings.ToLower(key), "_", "-"), flag.Name); d < distance {
			best, distance = flag.Name, d
		}
	}
	if best == "" {
		return ": keys are the names of flags (wsd serve --help)"
	}
	return fmt.Sprintf(": did you mean %q?", best)
}

// editDistance counts the bytes to insert, delete or replace to get from a to
// b (Levenshtein), one row of the table at a time.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, diagonal+1, row[j]+1)
		}
	}
	return row[len(b)]
}
