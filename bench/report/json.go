package report

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
)

// Schema names the form of a report's JSON. What is there keeps its meaning
// while the number stays; fields may be added.
//
// 2: figures that were not measured are left out; 1 has them as 0.
const (
	Schema    = "wsd-bench/2"
	oldSchema = "wsd-bench/1"
)

// Read reads a report that WriteJSON wrote, also one of the schema before. A
// byte order mark, which editors put in front of UTF-8, is skipped.
func Read(in io.Reader) (*Report, error) {
	text, err := io.ReadAll(in)
	if err != nil {
		return nil, err
	}
	r := new(Report)
	if err := json.Unmarshal(bytes.TrimPrefix(text, []byte("\ufeff")), r); err != nil {
		return nil, err
	}
	if r.Schema != Schema && r.Schema != oldSchema {
		return nil, fmt.Errorf("its schema is %q, this program reads %q and %q", r.Schema, Schema, oldSchema)
	}
	if r.Schema == oldSchema { // which has 0 for what was not measured
		for i := range r.Phases {
			if p := &r.Phases[i]; number(p.Server.RSSBytes) == 0 {
				p.Server = Server{}
			}
		}
	}
	return r, nil
}

// WriteJSON writes all of a report, for Read and for programs of others.
func (r *Report) WriteJSON(w io.Writer) error {
	text, err := json.MarshalIndent(r, "", " ")
	if err == nil {
		_, err = w.Write(append(text, '\n'))
	}
	return err
}

// Plan is what was to be done, as the JSON of a plan without its secrets. A
// report keeps all of it, and knows of it what its texts begin with.
type Plan struct {
	Clients int
	Targets []string
	text    json.RawMessage
}

// UnmarshalJSON keeps a plan's JSON.
func (p *Plan) UnmarshalJSON(text []byte) error {
	var known struct {
		Clients int      `json:"clients"`
		Targets []string `json:"targets"`
	}
	if err := json.Unmarshal(text, &known); err != nil {
		return err
	}
	*p = Plan{known.Clients, known.Targets, bytes.Clone(text)}
	return nil
}

// MarshalJSON gives what UnmarshalJSON took.
func (p Plan) MarshalJSON() ([]byte, error) {
	if p.text == nil {
		return []byte("null"), nil
	}
	return p.text, nil
}
