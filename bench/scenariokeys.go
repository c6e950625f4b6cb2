package bench

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// knownKeys returns an error that names the line, the place and the keys that
// could stand there if node has one that t, a struct, does not know, and one
// that names the line for a length of time that is none.
func knownKeys(node *yaml.Node, t reflect.Type, where string) error {
	known := keysOf(t)
	for i := 0; i+1 < len(node.Content); i += 2 {
		key, value := node.Content[i], node.Content[i+1]
		if key.Tag == "!!merge" {
			continue // the decoder looks at what it brings
		}
		inside, ok := known[key.Value]
		if !ok {
			return fmt.Errorf("line %d: %sthere is no %q; there are %s", key.Line, where, key.Value, strings.Join(namesOf(t), ", "))
		}
		if err := knownValue(key.Value, value, inside, where); err != nil {
			return err
		}
	}
	return nil
}

func knownValue(key string, value *yaml.Node, t reflect.Type, where string) error {
	if t == reflect.TypeFor[Duration]() && value.Kind == yaml.ScalarNode {
		if err := new(Duration).UnmarshalText([]byte(value.Value)); err != nil {
			return fmt.Errorf("line %d: %s%s: %w", value.Line, where, key, err)
		}
	}
	var number float64
	if t.Kind() == reflect.Float64 && value.Decode(&number) == nil && number-number != 0 {
		return fmt.Errorf("line %d: %s%s: %s is no number that anything can have", value.Line, where, key, value.Value)
	}
	if t.Kind() != reflect.Slice || t.Elem().Kind() != reflect.Struct || value.Kind != yaml.SequenceNode {
		return nil
	}
	for k, item := range value.Content {
		if item.Kind != yaml.MappingNode {
			continue // the decoder says what it takes
		}
		if err := knownKeys(item, t.Elem(), fmt.Sprintf("in %s, number %d, ", key, k+1)); err != nil {
			return err
		}
	}
	return nil
}

// keysOf are the keys of a struct and the types of what stands behind them.
func keysOf(t reflect.Type) map[string]reflect.Type {
	keys := make(map[string]reflect.Type)
	for _, f := range reflect.VisibleFields(t) {
		if name, _, _ := strings.Cut(f.Tag.Get("json"), ","); name != "" {
			keys[name] = f.Type
		}
	}
	return keys
}

// namesOf are the keys of a struct in alphabetical order.
func namesOf(t reflect.Type) (names []string) {
	for _, f := range reflect.VisibleFields(t) {
		if name, _, _ := strings.Cut(f.Tag.Get("json"), ","); name != "" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}
