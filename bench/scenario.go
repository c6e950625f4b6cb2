package bench

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"strings"

	"go.yaml.in/yaml/v3"
)

// scenario is a plan as a file writes it: what all phases with requests send may
// stand once, beside them. A phase's own words go before it.
type scenario struct {
	*Plan
	Payload string `json:"payload"`
	Bytes   int    `json:"bytes"`
	Text    bool   `json:"text"`
	Expect  string `json:"expect"`
}

// LoadScenario reads a plan, or parts of one, from a YAML (or JSON) file over
// what p has. Its keys are those of a report's plan, and payload, bytes, text
// and expect for all phases that have requests and name no payload or bytes of
// their own. An unknown key is an error that says where it stands.
func LoadScenario(path string, p *Plan) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var tree yaml.Node
	// Some editors put a byte order mark in front of UTF-8.
	if err := yaml.Unmarshal(bytes.TrimPrefix(text, []byte("\ufeff")), &tree); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	s := scenario{Plan: p}
	if err := s.decode(&tree); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	s.spread()
	return nil
}

// decode goes by way of JSON, so that there is one set of names.
func (s *scenario) decode(tree *yaml.Node) error {
	if len(tree.Content) == 0 {
		return nil // an empty file
	}
	root := tree.Content[0]
	if root.Kind != yaml.MappingNode {
		return fmt.Errorf("line %d: a scenario is a list of KEY: VALUE, such as clients: 1000", root.Line)
	}
	if err := knownKeys(root, reflect.TypeFor[scenario](), ""); err != nil {
		return err
	}
	var plain any
	if err := root.Decode(&plain); err != nil {
		return err
	}
	asJSON, err := json.Marshal(plain)
	if err != nil {
		return err
	}
	dec := json.NewDecoder(bytes.NewReader(asJSON))
	dec.DisallowUnknownFields()
	return plainError(dec.Decode(s))
}

// plainError says in the file's words what encoding/json says in Go's.
func plainError(err error) error {
	if wrong, ok := err.(*json.UnmarshalTypeError); ok {
		return fmt.Errorf("%s: a %s cannot stand here, it takes %s", strings.TrimPrefix(wrong.Field, "Plan."), wrong.Value, kindText(wrong.Type))
	}
	return err
}

func kindText(t reflect.Type) string {
	if t == reflect.TypeFor[Duration]() {
		return "a length of time, as 30s"
	}
	switch t.Kind() {
	case reflect.Int, reflect.Int64, reflect.Uint64:
		return "a whole number"
	case reflect.Float64:
		return "a number"
	case reflect.Bool:
		return "true or false"
	case reflect.Slice:
		return "a list"
	case reflect.Struct:
		return "keys and values"
	}
	return "text"
}

// spread gives the phases that have requests what stands beside them.
func (s *scenario) spread() {
	for i := range s.Phases {
		ph := &s.Phases[i]
		if ph.Kind != Open && ph.Kind != Closed {
			continue
		}
		if ph.Payload == "" && ph.Bytes == 0 {
			ph.Payload, ph.Bytes, ph.Text = s.Payload, s.Bytes, ph.Text || s.Text
			orDefault(&ph.Expect, s.Expect)
		}
	}
}
