package dispatch

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/google/uuid"
)

const (
	idA = "6ba7b810-9dad-41d1-80b4-00c04fd430c8"
	idB = "6BA7B811-9DAD-41D1-80B4-00C04FD430C8"

	heartBeat = `{"actioncode":"heart_beat"}`
	// fullForm is a request with every field, in the order and style of the original's clients.
	fullForm = `{"actioncode":"chat_say","data":{"room":"general","text":"hello, \"world\" \u00e9","n":-12.5e3,"tags":["a","b",null,true]},` +
		`"token":"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U",` +
		`"is_broadcast":false,"client_ids":["` + idA + `","` + idB + `"],"company":"Café Größe","seq":41}`
)

// bytesOrNil is nil for "", so that a table can leave out what is absent.
func bytesOrNil(s string) []byte {
	if s == "" {
		return nil
	}
	return []byte(s)
}

func ids(texts ...string) []uuid.UUID {
	list := []uuid.UUID{}
	for _, text := range texts {
		list = append(list, uuid.MustParse(text))
	}
	return list
}

var parseTable = []struct {
	name string
	msg  string
	want Envelope
}{
	{name: "heartbeat", msg: heartBeat, want: Envelope{Action: []byte("heart_beat")}},
	{name: "full form", msg: fullForm, want: Envelope{
		Action:    []byte("chat_say"),
		Data:      []byte(`{"room":"general","text":"hello, \"world\" \u00e9","n":-12.5e3,"tags":["a","b",null,true]}`),
		Token:     []byte("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U"),
		ClientIDs: ids(idA, idB), Company: []byte("Café Größe"), Seq: []byte("41"),
	}},
	{name: "white space", msg: " \r\n\t{ \"actioncode\" :\t\"a\" , \"data\"\n: [ 1 , 2 ] , \"client_ids\" : [ \"" + idA + "\" , \"" + idB + "\" ] }\n",
		want: Envelope{Action: []byte("a"), Data: []byte("[ 1 , 2 ]"), ClientIDs: ids(idA, idB)}},
	{name: "nulls are absent", msg: `{"actioncode":"a","data":null,"token":null,"company":null,"seq":null,"is_broadcast":null,"client_ids":null}`,
		want: Envelope{Action: []byte("a")}},
	{name: "broadcast", msg: `{"is_broadcast":true,"actioncode":"a"}`, want: Envelope{Action: []byte("a"), Broadcast: true}},
	{name: "no ids, but present", msg: `{"actioncode":"a","client_ids":[]}`, want: Envelope{Action: []byte("a"), ClientIDs: ids()}},
	{name: "seq is a string", msg: `{"actioncode":"a","seq":"a\n\u0062"}`, want: Envelope{Action: []byte("a"), Seq: []byte(`"a\n\u0062"`)}},
	{name: "seq is big", msg: `{"actioncode":"a","seq":-123456789012345678901234567890}`,
		want: Envelope{Action: []byte("a"), Seq: []byte("-123456789012345678901234567890")}},
	{name: "unknown fields", msg: `{"x":{"y":[[],{}]},"":1,"actioncode":"a","datum":1,"seqs":{}}`, want: Envelope{Action: []byte("a")}},
	{name: "unknown field with an escape", msg: `{"a\u0062":1,"actioncode":"a"}`, want: Envelope{Action: []byte("a")}},
	{name: "unknown field beyond ASCII", msg: `{"é":1,"actioncode":"a"}`, want: Envelope{Action: []byte("a")}},
	{name: "data is false", msg: `{"actioncode":"a","data":false}`, want: Envelope{Action: []byte("a"), Data: []byte("false")}},
	{name: "data is no UTF-8", msg: "{\"actioncode\":\"a\",\"data\":\"\xff\"}", want: Envelope{Action: []byte("a"), Data: []byte("\"\xff\"")}},
	{name: "action of 64 bytes", msg: `{"actioncode":"` + strings.Repeat("a", 64) + `"}`, want: Envelope{Action: []byte(strings.Repeat("a", 64))}},

	{name: "escaped key", msg: `{"action\u0063ode":"a"}`, want: Envelope{Action: []byte("a")}},
	{name: "escaped action", msg: `{"actioncode":"heart\u005fbeat"}`, want: Envelope{Action: []byte("heart_beat")}},
	{name: "letter case", msg: `{"ActionCode":"a","SEQ":1,"daTa":2,"TOKEN":"t","cOmpany":"c","Is_Broadcast":true,"client_IDs":["` + idA + `"]}`,
		want: Envelope{Action: []byte("a"), Seq: []byte("1"), Data: []byte("2"), Token: []byte("t"), Company: []byte("c"), Broadcast: true, ClientIDs: ids(idA)}},
	{name: "Kelvin sign for k, long s for s", msg: `{"actioncode":"a","to` + "\u212a" + `en":"t","` + "\u017f" + `eq":1}`,
		want: Envelope{Action: []byte("a"), Token: []byte("t"), Seq: []byte("1")}},
	{name: "last one wins", msg: `{"actioncode":"a","actioncode":"b","data":1,"data":2,"seq":{},"seq":3,"client_ids":["x"],"client_ids":["` + idA + `"]}`,
		want: Envelope{Action: []byte("b"), Data: []byte("2"), Seq: []byte("3"), ClientIDs: ids(idA)}},
	{name: "null after a string changes nothing", msg: `{"actioncode":"a","actioncode":null,"data":1,"data":null}`, want: Envelope{Action: []byte("a")}},
	{name: "company is no UTF-8", msg: "{\"actioncode\":\"a\",\"company\":\"\xff\"}", want: Envelope{Action: []byte("a"), Company: []byte("\ufffd")}},
	{name: "deep data", msg: `{"actioncode":"a","data":` + strings.Repeat("[", 1000) + strings.Repeat("]", 1000) + `}`,
		want: Envelope{Action: []byte("a"), Data: []byte(strings.Repeat("[", 1000) + strings.Repeat("]", 1000))}},
}

func TestParse(t *testing.T) {
	var e Envelope
	for _, tt := range parseTable {
		t.Run(tt.name, func(t *testing.T) {
			if code := Parse([]byte(tt.msg), &e); code != OK {
				t.Fatalf("code %d, want 0", code)
			}
			sameEnvelope(t, &e, &tt.want)
		})
	}
}

// sameEnvelope compares what is exported. An absent slice and an empty one are the same for Token and
// Company, but not for the others.
func sameEnvelope(t *testing.T, got, want *Envelope) {
	t.Helper()
	g, w := *got, *want
	g.ids, w.ids = nil, nil
	for _, b := range []*[]byte{&g.Token, &g.Company, &w.Token, &w.Company} {
		if len(*b) == 0 {
			*b = nil
		}
	}
	if !reflect.DeepEqual(g, w) {
		t.Errorf("\n got %+v\nwant %+v", printable(&g), printable(&w))
	}
}

func printable(e *Envelope) []any {
	return []any{string(e.Action), string(e.Data), e.Data == nil, string(e.Token), string(e.Company), string(e.Seq), e.Seq == nil, e.Broadcast, e.ClientIDs, e.ClientIDs == nil}
}

func TestParseRefuses(t *testing.T) {
	const a = `"actioncode":"a"`
	for _, tt := range []struct{ msg, action, seq string }{
		{msg: ``}, {msg: ` `}, {msg: `null`}, {msg: `true`}, {msg: `"a"`}, {msg: `1`}, {msg: `[]`}, {msg: `[{` + a + `}]`},
		{msg: `{}`}, {msg: `{`}, {msg: `{"`}, {msg: `{"actioncode`}, {msg: `{"actioncode"`}, {msg: `{"actioncode":`}, {msg: `{"actioncode":"a`}, {msg: `{"actioncode":"a"`},
		{msg: `{"actioncode":"a",`}, {msg: `{"actioncode":"a",}`}, {msg: `{,"actioncode":"a"}`}, {msg: `{"actioncode":"a"}}`}, {msg: `{"actioncode":"a"}x`},
		{msg: `{"actioncode":"a"}{"actioncode":"a"}`}, {msg: `{"actioncode" "a"}`}, {msg: `{actioncode:"a"}`}, {msg: `{'actioncode':'a'}`},
		{msg: "\ufeff{" + a + "}"}, {msg: `{` + a + `/**/}`}, {msg: "{" + a + "\x00}"}, {msg: "{\"actioncode\":\"a\x1f\"}"},
		{msg: `{"actioncode":null}`}, {msg: `{"actioncode":""}`}, {msg: `{"actioncode":7}`}, {msg: `{"actioncode":["a"]}`}, {msg: `{"data":1}`},
		{msg: `{"actioncode":"` + strings.Repeat("a", 65) + `"}`}, {msg: `{"actioncode":"","seq":7}`, seq: "7"},
		{msg: `{"actioncode":7,"seq":"x"}`, seq: `"x"`},
		{msg: `{` + a + `,"seq":1.5}`, action: "a"}, {msg: `{` + a + `,"seq":1e3}`, action: "a"}, {msg: `{` + a + `,"seq":1.0}`, action: "a"}, {msg: `{` + a + `,"seq":true}`, action: "a"},
		{msg: `{` + a + `,"seq":[1]}`, action: "a"}, {msg: `{` + a + `,"seq":{}}`, action: "a"}, {msg: `{` + a + `,"seq":01}`}, {msg: `{` + a + `,"seq":+1}`}, {msg: `{` + a + `,"seq":-}`},
		{msg: `{"seq":5,` + a + `,"token":1}`, action: "a", seq: "5"}, {msg: `{` + a + `,"company":{}}`, action: "a"},
		{msg: `{` + a + `,"is_broadcast":1}`, action: "a"}, {msg: `{` + a + `,"is_broadcast":"true"}`, action: "a"}, {msg: `{` + a + `,"is_broadcast":truex}`},
		{msg: `{` + a + `,"client_ids":"` + idA + `"}`, action: "a"}, {msg: `{` + a + `,"client_ids":[1]}`, action: "a"}, {msg: `{` + a + `,"client_ids":[null]}`, action: "a"},
		{msg: `{` + a + `,"client_ids":["` + idA[1:] + `"]}`, action: "a"}, {msg: `{` + a + `,"client_ids":["g` + idA[1:] + `"]}`, action: "a"},
		{msg: `{` + a + `,"client_ids":["{` + idA + `}"]}`, action: "a"}, {msg: `{` + a + `,"client_ids":["` + strings.ReplaceAll(idA, "-", "") + `"]}`, action: "a"},
		{msg: `{` + a + `,"client_ids":["` + idA + `",]}`}, {msg: `{` + a + `,"client_ids":[,]}`}, {msg: `{` + a + `,"client_ids":["` + idA + `"`}, {msg: `{` + a + `,"client_ids":[`},
		{msg: `{` + a + `,"data":}`}, {msg: `{` + a + `,"data":nul}`}, {msg: `{` + a + `,"data":[1}`}, {msg: `{` + a + `,"data":"\x"}`}, {msg: `{` + a + `,"data":"\u12g4"}`}, {msg: `{` + a + `,"data":tru}`},
		{msg: `{` + a + `,"data":` + strings.Repeat("[", 20000) + strings.Repeat("]", 20000) + `}`},
	} {
		var e Envelope
		if code := Parse([]byte(tt.msg), &e); code != InvalidParams {
			t.Errorf("%.80q: code %d, want 1", tt.msg, code)
		}
		t.Run(tt.msg[:min(40, len(tt.msg))], func(t *testing.T) {
			sameEnvelope(t, &e, &Envelope{Action: bytesOrNil(tt.action), Seq: bytesOrNil(tt.seq)})
		})
	}
}

// Whatever an envelope was before, Parse forgets it.
func TestParseForgets(t *testing.T) {
	var e Envelope
	for _, before := range parseTable {
		for _, tt := range parseTable {
			Parse([]byte(before.msg), &e)
			Parse([]byte(tt.msg), &e)
			sameEnvelope(t, &e, &tt.want)
		}
		if Parse([]byte("{"), &e); e.Action != nil || e.Data != nil || e.ClientIDs != nil || e.Broadcast {
			t.Errorf("after %s, a bad message left %v", before.name, printable(&e))
		}
	}
}

func TestCloneIsItsOwn(t *testing.T) {
	for _, tt := range parseTable {
		msg := []byte(tt.msg)
		var e Envelope
		Parse(msg, &e)
		clone := e.Clone()
		clear(msg)
		clear(e.ids)
		sameEnvelope(t, clone, &tt.want)
		// An append to one field must not reach into the next one.
		_ = append(clone.Action, "zzzz"...)
		sameEnvelope(t, clone, &tt.want)
	}
}

// A name of a field is known in any letters, and written in any way.
func TestLetterCase(t *testing.T) {
	for f, name := range fieldNames[1:] {
		for i := range name {
			for _, odd := range []string{
				name[:i] + strings.ToUpper(name[i:i+1]) + name[i+1:],
				fmt.Sprintf(`%s\u%04X%s`, name[:i], name[i], name[i+1:]),
			} {
				if got := fieldOf([]byte(odd)); got != field(f+1) {
					t.Errorf("%s is field %d, want %d", odd, got, f+1)
				}
			}
			for _, other := range []string{name[:i] + name[i+1:], name[:i] + "x" + name[i:], name[:i] + "\x7f" + name[i+1:]} {
				if got := fieldOf([]byte(other)); got != fieldUnknown {
					t.Errorf("%s is field %d", other, got)
				}
			}
		}
	}
	var long strings.Builder
	for _, c := range "IS_BROADCAST" {
		fmt.Fprintf(&long, `\u%04x`, c)
	}
	if got := fieldOf([]byte(long.String())); got != fieldBroadcast {
		t.Errorf("is_broadcast, written as long as can be, is field %d", got)
	}
}

// An id may be written as long as can be, too.
func TestEscapedID(t *testing.T) {
	var long strings.Builder
	for _, c := range idA {
		fmt.Fprintf(&long, `\u%04x`, c)
	}
	var e Envelope
	msg := `{"actioncode":"a","client_ids":["` + long.String() + `"]}`
	if code := Parse([]byte(msg), &e); code != OK || len(e.ClientIDs) != 1 || e.ClientIDs[0] != uuid.MustParse(idA) {
		t.Errorf("code %d, %v", code, e.ClientIDs)
	}
}

// Values nest as deep as encoding/json lets them, in objects and in arrays.
func TestNesting(t *testing.T) {
	for _, level := range [][2]string{{"[", "]"}, {`{"a":`, "}"}, {`[{"a":`, "}]"}} {
		for _, n := range []int{1, 63, 64, 65, 4998, 4999, 5000, 9998, 9999, 10000} {
			msg := []byte(`{"actioncode":"a","data":` + strings.Repeat(level[0], n) + "1" + strings.Repeat(level[1], n) + `}`)
			if got, want := Parse(msg, new(Envelope)) == OK, json.Valid(msg); got != want {
				t.Errorf("%d levels of %s: taken is %v, by encoding/json %v", n, level[0], got, want)
			}
		}
	}
}

// No message that ends too early is taken, wherever it ends, and nothing is read beyond its end.
func TestEveryPrefix(t *testing.T) {
	for _, tt := range parseTable {
		whole := strings.TrimRight(tt.msg, " \n")
		if len(whole) > 500 {
			continue
		}
		for n := range whole {
			cut := append([]byte(nil), whole[:n]...)
			if code := Parse(cut[:n:n], new(Envelope)); code != InvalidParams {
				t.Errorf("%s: code %d for %q", tt.name, code, cut)
			}
		}
	}
}
