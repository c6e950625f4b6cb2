package admin

import (
	"bytes"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"wsd/server"
)

func TestParseLine(t *testing.T) {
	a, b := uuid.MustParse(idA), uuid.MustParse(idB)
	for _, c := range []struct {
		line   string
		to     server.Target
		data   string // "!": refused
		binary bool
	}{
		{`{"all":true,"text":"x"}`, server.All(), "x", false},
		{` { "text" : "grü\u00dfe\n" , "all" : true } `, server.All(), "grüße\n", false},
		{`{"topic":"a","json":{"b" : 1.0}}`, server.Topic("a"), `{"b" : 1.0}`, false},
		{`{"topic":["a","b"],"json":null}`, server.Topic("a", "b"), "null", false},
		{`{"client":"` + idA + `","binary":"/wA="}`, server.Client(a), "\xff\x00", true},
		{`{"client":["` + idA + `","` + idB + `"],"text":""}`, server.Client(a, b), "", false},
		{`{"all":true,"binary":"","key":"k","coalesce":"c","deadline":"1s"}`, server.All(), "", true},

		{`{"all":true}`, server.Target{}, "!", false},
		{`{"text":"x"}`, server.Target{}, "!", false},
		{`{"all":false,"text":"x"}`, server.Target{}, "!", false},
		{`{"all":true,"topic":"a","text":"x"}`, server.Target{}, "!", false},
		{`{"topic":[],"text":"x"}`, server.Target{}, "!", false},
		{`{"topic":null,"text":"x"}`, server.Target{}, "!", false},
		{`{"topic":[""],"text":"x"}`, server.Target{}, "!", false},
		{`{"topic":1,"text":"x"}`, server.Target{}, "!", false},
		{`{"client":"bob","text":"x"}`, server.Target{}, "!", false},
		{`{"all":true,"text":"x","json":1}`, server.Target{}, "!", false},
		{`{"all":true,"text":1}`, server.Target{}, "!", false},
		{`{"all":true,"binary":"?"}`, server.Target{}, "!", false},
		{`{"all":true,"text":"x","deadline":"5"}`, server.Target{}, "!", false},
		{`{"all":true,"text":"x","key":"é"}`, server.Target{}, "!", false},
		{`{"all":true,"text":"x","target":"a"}`, server.Target{}, "!", false},
		{`{"all":true,"text":"x"}{}`, server.Target{}, "!", false},
		{"{\"all\":true,\"text\":\"\xff\"}", server.Target{}, "!", false},

		{`{"all":true,"text":"\ud83d\ude00 \\ud800 \u00e9"}`, server.All(), "😀 \\ud800 é", false},
		{`{"\u0061ll":true,"json":"\ud800"}`, server.All(), `"\ud800"`, false}, // byte for byte
		{`{"all":true,"text":"\ud800"}`, server.Target{}, "!", false},
		{`{"all":true,"text":"\ud800\u0041"}`, server.Target{}, "!", false},
		{`{"all":true,"text":"\ud800\ud800"}`, server.Target{}, "!", false},
		{`{"all":true,"text":"\ude00x"}`, server.Target{}, "!", false},
		{`{"topic":"\udfff","text":""}`, server.Target{}, "!", false},
		{`{"ALL":true,"text":"x"}`, server.Target{}, "!", false},
		{`{"all":true,"Text":"x"}`, server.Target{}, "!", false},
		{`{"all":true,"text":"a","text":"b"}`, server.Target{}, "!", false},
		{`{"all":true,"topic":null,"text":"x"}`, server.Target{}, "!", false},
		{`{"all":true,"text":null,"json":1}`, server.Target{}, "!", false},
		{`{"all":true,"binary":[1,2]}`, server.Target{}, "!", false},
		{`{"all":true,"binary":null,"text":"x"}`, server.Target{}, "!", false},
		{`{"topic":["a",null],"text":"x"}`, server.Target{}, "!", false},
		{`{"all":true,"text":"x","key":""}`, server.Target{}, "!", false},
		{`{"all":true,"text":"x","deadline":null}`, server.Target{}, "!", false},
		{`[]`, server.Target{}, "!", false},
		{`{`, server.Target{}, "!", false},
	} {
		l, err := parseLine([]byte(c.line))
		var o order
		var m server.Message
		if err == nil {
			o, m, err = l.message(time.Now())
		}
		if (err != nil) != (c.data == "!") {
			t.Errorf("%s: %v", c.line, err)
		}
		if err == nil && (!reflect.DeepEqual(o.to, c.to) || string(m.Data) != c.data || m.Binary != c.binary) {
			t.Errorf("%s: %+v %+v", c.line, o, m)
		}
	}
}

func FuzzLine(f *testing.F) {
	f.Add([]byte(`{"all":true,"text":"x","coalesce":"c","deadline":"1s"}`))
	f.Add([]byte(`{"topic":["a","b"],"json":{"b" : 1.0}}`))
	f.Add([]byte(`{"client":"` + idA + `","binary":"/wA=","key":"k"}`))
	f.Add([]byte(`{"all":true,"text":"\ud83d\ude00\ud800"}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		l, err := parseLine(text)
		if err != nil {
			return
		}
		o, m, err := l.message(time.Now())
		if err == nil && reflect.DeepEqual(o.to, server.Target{}) {
			t.Errorf("%q is for nobody", text)
		}
		if l.text != nil && strings.ContainsRune(*l.text, '\ufffd') && !bytes.ContainsRune(text, '\ufffd') && !bytes.Contains(bytes.ToLower(text), []byte(`\ufffd`)) {
			t.Errorf("%q was mended to %q", text, *l.text)
		}
		if err == nil && l.json != nil && !bytes.Contains(text, m.Data) {
			t.Errorf("%q is not verbatim %q", m.Data, text)
		}
	})
}
