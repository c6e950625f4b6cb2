package dispatch

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/uuid"
)

// respond is the whole way of an inline request, as a loop goes it.
func respond(m *Mux, ctx *Context, msg, out []byte) []byte {
	e := ctx.Envelope
	if code := Parse(msg, e); code != OK {
		return AppendAnswer(out, code, "", nil, e.Action, e.Seq)
	}
	a := m.Lookup(e.Action)
	if a == nil {
		return AppendAnswer(out, MethodNotFound, "", nil, e.Action, e.Seq)
	}
	if a.Constant != nil && e.Seq == nil {
		return append(out, a.Constant...)
	}
	out, _ = a.Call(ctx, out)
	return out
}

func BenchmarkParse(b *testing.B) {
	large := `{"actioncode":"echo","data":"` + strings.Repeat("0123456789 abcde", 256) + `"}`
	for _, bb := range []struct{ name, msg string }{
		{"heartbeat", heartBeat},
		{"full", fullForm},
		{"4KiB", large},
		{"escaped", `{"actioncode":"heart\u005fbeat"}`},
		{"refused", `{"actioncode":"heart_beat","seq":1.5}`},
	} {
		msg := []byte(bb.msg)
		b.Run(bb.name+"/Parse", func(b *testing.B) {
			var e Envelope
			b.SetBytes(int64(len(msg)))
			b.ReportAllocs()
			for b.Loop() {
				Parse(msg, &e)
			}
		})
		b.Run(bb.name+"/encoding_json", func(b *testing.B) {
			b.SetBytes(int64(len(msg)))
			b.ReportAllocs()
			for b.Loop() {
				var w struct {
					Action    string          `json:"actioncode"`
					Data      json.RawMessage `json:"data"`
					Token     string          `json:"token"`
					Company   string          `json:"company"`
					Seq       json.RawMessage `json:"seq"`
					Broadcast bool            `json:"is_broadcast"`
					ClientIDs []uuid.UUID     `json:"client_ids"`
				}
				_ = json.Unmarshal(msg, &w)
			}
		})
	}
}

// BenchmarkParseLong is what 64 KiB can be made to cost: a loop does it in one go.
func BenchmarkParseLong(b *testing.B) {
	const most = 64 << 10
	fill := func(head, unit, tail string) string {
		return head + strings.Repeat(unit, (most-len(head)-len(tail))/len(unit)) + tail
	}
	const a = `"actioncode":"echo"`
	for _, bb := range []struct{ name, msg string }{
		{"numbers", fill(`{`+a+`,"data":[`, `1,`, `1]}`)},
		{"arrays", fill(`{`+a+`,"data":[`, `[],`, `1]}`)},
		{"deep", fill(`{`+a+`,"data":[`, strings.Repeat("[", 9000)+strings.Repeat("]", 9000)+",", `1]}`)},
		{"fields", fill(`{`, `"data":1,`, a+`}`)},
		{"odd_fields", fill(`{`, `"DATA":1,`, a+`}`)},
		{"escaped_fields", fill(`{`, `"seq":1,`, a+`}`)},
		{"not_quite_fields", fill(`{`, `"se":1,`, a+`}`)},
		{"texts", fill(`{`+a+`,"data":[`, `"",`, `""]}`)},
		{"escapes", fill(`{`+a+`,"token":"`, `a`, `"}`)},
		{"not_ids", fill(`{`+a+`,"client_ids":[`, `"",`, `""]}`)},
		{"ids", fill(`{`+a+`,"client_ids":[`, `"`+idA+`",`, `"`+idA+`"]}`)},
		{"spaces", fill(`{`, ` `, a+`}`)},
	} {
		msg := []byte(bb.msg)
		b.Run(bb.name, func(b *testing.B) {
			var e Envelope
			b.SetBytes(int64(len(msg)))
			b.ReportAllocs()
			for b.Loop() {
				Parse(msg, &e)
			}
		})
	}
	for _, bb := range []struct{ name, data string }{
		{"names/empty", fill(`{"topics":[`, `"",`, `""]}`)},
		{"names/long_objects", fill(`{"x":[`, `1,`, `1],"topics":[]}`)},
		{"names/escapes", fill(`{"topics":[`, `"a",`, `""]}`)},
	} {
		data := []byte(bb.data)
		b.Run(bb.name, func(b *testing.B) {
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			for b.Loop() {
				_, _ = names(data)
			}
		})
	}
}

func BenchmarkLookup(b *testing.B) {
	m := NewMux()
	Builtins(m)
	name := []byte("heart_beat")
	b.ReportAllocs()
	for b.Loop() {
		m.Lookup(name)
	}
}

// BenchmarkRespond is a request from its message to its answer, frames aside.
func BenchmarkRespond(b *testing.B) {
	m := NewMux()
	Builtins(m)
	Handle(m, "say_typed", func(_ *Context, in say) (say, error) { return in, nil }, Inline())
	m.Register(&talker{}, Inline())
	for _, bb := range []struct{ name, msg string }{
		{"heartbeat", heartBeat},
		{"heartbeat+seq", `{"actioncode":"heart_beat","seq":123}`},
		{"echo", `{"actioncode":"echo","data":{"room":"general","text":"hello"}}`},
		{"whoami", `{"actioncode":"whoami"}`},
		{"typed", `{"actioncode":"say_typed","data":{"room":"general","text":"hello"}}`},
		{"method", `{"actioncode":"talk","data":{"room":"general","text":"hello"}}`},
		{"unknown", `{"actioncode":"no_such_action"}`},
	} {
		msg := []byte(bb.msg)
		b.Run(bb.name, func(b *testing.B) {
			ctx := &Context{Context: context.Background(), Client: new(client), Envelope: new(Envelope)}
			var out []byte
			b.ReportAllocs()
			for b.Loop() {
				out = respond(m, ctx, msg, out[:0])
			}
		})
	}
}

// talker serves by reflection what say_typed serves by a typed function.
type talker struct{}

func (*talker) Talk(_ *Context, in say) (say, error) { return in, nil }
