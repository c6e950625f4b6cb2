package bench

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"

	"go.yaml.in/yaml/v3"
)

// LoadScenario reads a plan, or parts of one, from a YAML (or JSON) file over
// what p has. Its keys are those of a report's plan. An unknown key is an error.
func LoadScenario(path string, p *Plan) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var tree any
	if err := yaml.Unmarshal(text, &tree); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	// By way of JSON, so that there is one set of names.
	asJSON, err := json.Marshal(tree)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	dec := json.NewDecoder(bytes.NewReader(asJSON))
	dec.DisallowUnknownFields()
	if err := dec.Decode(p); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}
