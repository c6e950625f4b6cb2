package main

import (
	"fmt"
	"io"
	"reflect"

	"github.com/alecthomas/kong"
	"go.yaml.in/yaml/v3"
)

// printConfig writes the values of the flags as a file for --config, in the
// groups of the help.
func printConfig(out io.Writer, flags []*kong.Flag) error {
	root := &yaml.Node{Kind: yaml.MappingNode}
	for _, group := range groups {
		comment := group.Title
		for _, flag := range flags {
			if flag.Group == nil || flag.Group.Key != group.Key || isOpen(flag.Target) {
				continue
			}
			key := &yaml.Node{Kind: yaml.ScalarNode, Value: flag.Name, HeadComment: comment}
			root.Content = append(root.Content, key, valueNode(flag.Target))
			comment = ""
		}
	}
	encoder := yaml.NewEncoder(out)
	encoder.SetIndent(2)
	if err := encoder.Encode(root); err != nil {
		return err
	}
	return encoder.Close()
}

// isOpen says that a flag was not given and has no fixed default: what it comes to
// is found out at the start.
func isOpen(value reflect.Value) bool { return value.Kind() == reflect.Pointer && value.IsNil() }

func valueNode(value reflect.Value) *yaml.Node {
	node := &yaml.Node{Kind: yaml.ScalarNode}
	if value.Kind() == reflect.Pointer {
		value = value.Elem() // it is not open
	}
	switch {
	case value.Kind() == reflect.Slice:
		node = &yaml.Node{Kind: yaml.SequenceNode}
		if value.Len() == 0 {
			node.Style = yaml.FlowStyle
		}
		for i := range value.Len() {
			node.Content = append(node.Content, valueNode(value.Index(i)))
		}
	case value.Kind() == reflect.String:
		node.SetString(value.String()) // quoted where YAML would see something else
	default:
		node.Value = fmt.Sprint(value.Interface())
	}
	return node
}
