package dispatch

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/uuid"
)

// twin reads a message field by field with encoding/json, with none of the code under test but the few
// rules that are not encoding/json's.
func twin(msg []byte) (e Envelope, ok bool) {
	trimmed := bytes.TrimLeft(msg, " \t\r\n")
	if !json.Valid(msg) || trimmed[0] != '{' {
		return e, false
	}
	dec := json.NewDecoder(bytes.NewReader(msg))
	_, _ = dec.Token()
	var w struct {
		action, token, company string
		broadcast              bool
		seq, data              json.RawMessage
		ids                    []any
	}
	fields := map[string]any{"actioncode": &w.action, "token": &w.token, "company": &w.company, "is_broadcast": &w.broadcast,
		"seq": &w.seq, "data": &w.data, "client_ids": &w.ids}
	ok = true
	for dec.More() {
		key, _ := dec.Token()
		var raw json.RawMessage
		if dec.Decode(&raw) != nil {
			return e, false
		}
		for name, p := range fields {
			if strings.EqualFold(name, key.(string)) {
				if name == "client_ids" {
					w.ids = nil
				}
				ok = json.Unmarshal(raw, p) == nil && ok
				// Of an array that another one replaces only the types matter.
				for _, id := range w.ids {
					_, text := id.(string)
					ok = (text || id == nil) && ok
				}
			}
		}
	}
	e.Action, e.Token, e.Company, e.Broadcast = []byte(w.action), []byte(w.token), []byte(w.company), w.broadcast
	if string(w.data) != "null" {
		e.Data = w.data
	}
	if seq := string(w.seq); seq != "" && seq != "null" {
		e.Seq = w.seq
		digits := strings.Trim(seq, "-0123456789") == ""
		ok = ok && (digits || seq[0] == '"')
	}
	if w.ids != nil {
		e.ClientIDs = []uuid.UUID{}
	}
	for _, id := range w.ids {
		text, isText := id.(string)
		parsed, err := uuid.Parse(text)
		ok = ok && isText && err == nil && len(text) == 36
		e.ClientIDs = append(e.ClientIDs, parsed)
	}
	return e, ok && w.action != "" && len(w.action) <= 64
}

// unmarshalled is Parse by encoding/json, which defines what every message means. After InvalidParams it has
// Action and Seq, as Parse does: a field of the wrong type does not keep encoding/json from reading the others.
func unmarshalled(msg []byte) (e Envelope, code Code) {
	if trimmed := bytes.TrimLeft(msg, " \t\r\n"); len(trimmed) == 0 || trimmed[0] != '{' {
		return e, InvalidParams
	}
	var w struct {
		Action    string          `json:"actioncode"`
		Data      json.RawMessage `json:"data"`
		Token     string          `json:"token"`
		Company   string          `json:"company"`
		Seq       json.RawMessage `json:"seq"`
		Broadcast bool            `json:"is_broadcast"`
		ClientIDs []*string       `json:"client_ids"`
	}
	ok := json.Unmarshal(msg, &w) == nil
	notNull := func(raw json.RawMessage) []byte {
		if string(raw) == "null" {
			return nil
		}
		return raw
	}
	if w.Action != "" && len(w.Action) <= MaxAction {
		e.Action = []byte(w.Action)
	}
	if seq := notNull(w.Seq); len(seq) > 0 && (seq[0] == '"' || strings.Trim(string(seq), "-0123456789") == "") {
		e.Seq = seq
	}
	ok = ok && e.Action != nil && (e.Seq != nil) == (notNull(w.Seq) != nil)
	all := Envelope{Action: e.Action, Seq: e.Seq, Data: notNull(w.Data), Token: []byte(w.Token), Company: []byte(w.Company), Broadcast: w.Broadcast}
	if w.ClientIDs != nil {
		all.ClientIDs = []uuid.UUID{}
	}
	for _, text := range w.ClientIDs {
		if text == nil || len(*text) != 36 {
			return e, InvalidParams
		}
		id, err := uuid.Parse(*text)
		ok = ok && err == nil
		all.ClientIDs = append(all.ClientIDs, id)
	}
	if !ok {
		return e, InvalidParams
	}
	return all, OK
}

// FuzzParse holds Parse to encoding/json, and to the twin.
func FuzzParse(f *testing.F) {
	for _, tt := range parseTable {
		f.Add([]byte(tt.msg))
	}
	for _, msg := range []string{
		`null`, `[]`, `{}`, `{"actioncode":"a"}x`, `{"actioncode":"a","seq":1.0}`, `{"actioncode":"a","seq":-0}`,
		`{"actioncode":"a","data":"` + "\xed\xa0\x80" + `"}`, `{"actioncode":"a","data":{"a":1,"a":2,"\ud800":1e999}}`,
		`{"actioncode":"a","client_ids":["` + idA + `"],"client_ids":[null]}`, `{"actioncode":"a","client_ids":[1],"client_ids":[]}`,
		`{"actioncode":"a","client_ids":[null],"client_ids":[]}`, `{"actioncode":"a\u0000"}`, "{\"actioncode\":\"a\x7f\"}",
	} {
		f.Add([]byte(msg))
	}
	f.Fuzz(func(t *testing.T, msg []byte) {
		before := bytes.Clone(msg)
		var e Envelope
		code := Parse(msg, &e)
		want, ok := twin(msg)
		if ok != (code == OK) {
			t.Fatalf("code %d, but the twin says %v", code, ok)
		}
		same, sameCode := unmarshalled(msg)
		if sameCode != code {
			t.Fatalf("code %d, but encoding/json says %d", code, sameCode)
		}
		sameEnvelope(t, &e, &same)
		if ok {
			sameEnvelope(t, &e, &want)
		}
		if !bytes.Equal(msg, before) {
			t.Fatal("Parse changed the message")
		}
		answerIsSound(t, AppendAnswer(nil, code, "", e.Data, e.Action, e.Seq), &e)
	})
}

// answerIsSound checks that an answer to e is JSON in UTF-8 with the request's data, action and seq as
// encoding/json would repeat them.
func answerIsSound(t *testing.T, answer []byte, e *Envelope) {
	t.Helper()
	if !utf8.Valid(answer) || !json.Valid(answer) {
		t.Fatalf("answer is not JSON in UTF-8: %q", answer)
	}
	var got struct {
		Data       any
		ActionCode string
		Seq        any
	}
	decodeAny(t, answer, &got)
	var data, seq any
	if e.Data != nil {
		decodeAny(t, e.Data, &data)
	}
	if e.Seq != nil {
		decodeAny(t, e.Seq, &seq)
	}
	if !reflect.DeepEqual(got.Data, data) || !reflect.DeepEqual(got.Seq, seq) {
		t.Fatalf("data %q, seq %q came back as %v, %v", e.Data, e.Seq, got.Data, got.Seq)
	}
	if got.ActionCode != string(e.Action) {
		t.Fatalf("action %q came back as %q", e.Action, got.ActionCode)
	}
}

// decodeAny leaves numbers as they are written: there is no other bound to their size.
func decodeAny(t *testing.T, raw []byte, v any) {
	t.Helper()
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	if err := dec.Decode(v); err != nil {
		t.Fatal(err)
	}
}

// FuzzValue: the scanner takes a value if encoding/json does.
func FuzzValue(f *testing.F) {
	for _, s := range []string{`null`, `[1,2,{"a":[]}]`, `"a\ud83d\ude00\/"`, `-0.1e+10`, `01`, `1.`, `.5`, `-`, `1e`, `tru`, `{"a":1,}`, `[,]`, "\"\x01\"", "\"\u2028\"", `"\u00`, `[[[[]]]]`,
		`"12345678\"12345678`, `{"":{}}`, `{"a" : 1 , "b":[ ] }`, `"1234567` + "\x1f" + `"`, `"\u` + "\x10\x11\x12\x13" + `"`,
		strings.Repeat(`[{"":`, 40) + "0" + strings.Repeat("}]", 40), `[1]]`, `[{]}`, `{"a"}`, `{"a":}`, `[1 2]`, `{"a":1 "b":2}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		end := value(b, space(b, 0), maxNesting)
		if taken, valid := end != bad && space(b, end) == len(b), json.Valid(b); taken != valid {
			t.Fatalf("taken is %v, by encoding/json %v", taken, valid)
		}
	})
}

// FuzzNames holds the argument of subscribe to encoding/json.
func FuzzNames(f *testing.F) {
	for _, s := range []string{`{"topics":["a","b\u00e9\n"]}`, `{"topics":null}`, `{"topics":["a",null]}`, `{"topics":[1]}`, `{"topics":[[]]}`, `{"TOPICS":["x"],"a":{"b":[]}}`,
		`{"topics":["a"],"topics":[]}`, `{"t\u006fpics":["a"]}`, `{}`, `[]`, `"a"`, `{"topics":["\ud800"]}`, `{"topics":"a"}`, `{"topics":[1],"topics":["a"]}`, `null`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if data = bytes.TrimSpace(data); !json.Valid(data) || string(data) == "null" {
			return // it comes from Parse
		}
		var in struct {
			Topics []*string `json:"topics"`
		}
		err := json.Unmarshal(data, &in)
		got, gotErr := names(data)
		if (err == nil && ValidText(data)) != (gotErr == nil) {
			t.Fatalf("%v, but encoding/json says %v", gotErr, err)
		}
		if gotErr != nil {
			return
		}
		if len(got) != len(in.Topics) {
			t.Fatalf("%q, want %d", got, len(in.Topics))
		}
		for i, name := range in.Topics {
			want := ""
			if name != nil {
				want = *name
			}
			if got[i] != want {
				t.Fatalf("%q instead of %q", got[i], want)
			}
		}
	})
}

// FuzzString: any bytes come back from a JSON string as encoding/json would have written them.
func FuzzString(f *testing.F) {
	for _, s := range []string{"", "heart_beat", "\"\\\b\f\n\r\t\x00\x1f\x7f", "é\u2028😀", "\xff\xed\xa0\x80a\xf0\x9f\x98"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		text := appendString(nil, s)
		if !bytes.Equal(text, appendString(nil, []byte(s))) {
			t.Fatal("string and bytes differ")
		}
		var got, want string
		if err := json.Unmarshal(text, &got); err != nil || !utf8.Valid(text) {
			t.Fatalf("%q: %v", text, err)
		}
		reference, _ := json.Marshal(s)
		_ = json.Unmarshal(reference, &want)
		if got != want {
			t.Fatalf("%q, want %q", got, want)
		}
	})
}

// The scanner looks at eight bytes at a time: every byte at every offset must be seen for what it is.
func TestPlain(t *testing.T) {
	for length := range 20 {
		for at := range length {
			for c := range 256 {
				b := bytes.Repeat([]byte{'a'}, length)
				b[at] = byte(c)
				want := length
				if c < ' ' || c >= 0x80 || c == '"' || c == '\\' {
					want = at
				}
				if got := plain(b, 0); got != want {
					t.Fatalf("byte %#x at %d of %d: %d", c, at, length, got)
				}
			}
		}
	}
}

// FuzzValidText holds ValidText to encoding/json, which puts U+FFFD for what is no text: where each is
// counted that the JSON has itself, a further one has to be such.
func FuzzValidText(f *testing.F) {
	for _, text := range []string{`"a"`, `"\ud83d"`, `"\ud83d\ude00"`, `"\ude00\ud83d"`, `"\\ud83d"`, `"\\\ud83d"`, `"\ud83d\ud83d\ude00"`, `"\uD83D\n"`,
		`"\ufffd"`, "\"\xff\"", "\"\xed\xa0\xbd\"", `"\ud83d\\ude00"`, `"é\u0000"`} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		var text string
		if json.Unmarshal(raw, &text) != nil || bytes.Equal(bytes.TrimSpace(raw), []byte("null")) {
			return
		}
		// As \u0041 both of what stands for U+FFFD is out of the way.
		raw = bytes.ReplaceAll(raw, []byte("\ufffd"), []byte("A"))
		for i := 0; i+6 <= len(raw); i++ {
			if raw[i] == '\\' && bytes.EqualFold(raw[i:i+6], []byte(`\ufffd`)) {
				copy(raw[i:], `\u0041`)
			} else if raw[i] == '\\' {
				i++
			}
		}
		if err := json.Unmarshal(raw, &text); err != nil {
			t.Fatal(err)
		}
		if want := !strings.ContainsRune(text, utf8.RuneError); ValidText(raw) != want {
			t.Errorf("%s: %v, want %v", raw, !want, want)
		}
	})
}
