package admin

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"
	"unicode/utf8"

	"wsd/server"
)

// line is one message of a stream: exactly one of all, topic and client, and
// exactly one of text, json and binary.
type line struct {
	All    bool  `json:"all"`
	Topic  names `json:"topic"`
	Client names `json:"client"`

	Text   *string         `json:"text"`
	JSON   json.RawMessage `json:"json"`   // sent byte for byte as it stands in the line
	Binary []byte          `json:"binary"` // base64 in the line, bytes in the frame

	Coalesce string `json:"coalesce"`
	Deadline string `json:"deadline"`
	// Key is to a line what Idempotency-Key is to a request.
	Key string `json:"key"`
}

// names is one name or an array of them.
type names []string

func (n *names) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '[' {
		return json.Unmarshal(b, (*[]string)(n))
	}
	var one string
	if err := json.Unmarshal(b, &one); err != nil {
		return errors.New("a string or an array of strings is needed")
	}
	*n = names{one}
	return nil
}

// parseLine reads a line. What is no JSON, has a field that is not known, or
// leaves open who gets what, is refused.
func parseLine(text []byte) (line, error) {
	var l line
	if !utf8.Valid(text) { // which encoding/json would mend, silently
		return l, errors.New("a line has to be UTF-8: give bytes as base64 in binary")
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&l); err != nil {
		return l, fmt.Errorf("not a message: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return l, errors.New("not a message: one JSON object a line")
	}
	if l.Key != "" {
		return l, validKey(l.Key)
	}
	return l, nil
}

// order is who the line is for, and how.
func (l *line) order() (o order, err error) {
	if err = o.options(l.Coalesce, l.Deadline); err != nil {
		return o, err
	}
	switch {
	case l.All && l.Topic == nil && l.Client == nil:
		o.to = server.All()
	case !l.All && l.Topic != nil && l.Client == nil:
		o.to, err = toTopics(l.Topic)
	case !l.All && l.Topic == nil && l.Client != nil:
		o.to, err = toClients(l.Client)
	default:
		err = errTarget
	}
	return o, err
}

// data is the message.
func (l *line) data() (data []byte, binary bool, err error) {
	given := 0
	if l.Text != nil {
		data, given = []byte(*l.Text), given+1
	}
	if l.JSON != nil {
		data, given = l.JSON, given+1
	}
	if l.Binary != nil {
		data, binary, given = l.Binary, true, given+1
	}
	if given != 1 {
		return nil, false, errors.New("give the message as one of text, json or binary (base64)")
	}
	return data, binary, nil
}

// message is the whole line as the server takes it.
func (l *line) message(began time.Time) (order, server.Message, error) {
	o, err := l.order()
	if err != nil {
		return o, server.Message{}, err
	}
	data, binary, err := l.data()
	return o, o.message(data, binary, began), err
}
