package admin

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"
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

// Whatever pieces the body comes in, the lines are the same.
func TestLinesInAnyCut(t *testing.T) {
	long := strings.Repeat("x", 100)
	body := "a\n\nb\r\n" + long + "\n" + long + "y\n" + strings.Repeat("z", 100_000) + "\nlast"
	want := []string{"a", "", "b", long, "?", "?", "last"}
	for _, whole := range []bool{true, false} {
		for _, end := range []string{"", "\n"} {
			var r io.Reader = strings.NewReader(body + end)
			if !whole {
				r = iotest.OneByteReader(r)
			}
			l := newLines(r, 100)
			var got []string
			for {
				line, tooLong, err := l.next()
				if err != nil {
					if err != io.EOF {
						t.Error(err)
					}
					break
				}
				if tooLong {
					line = []byte("?")
				}
				got = append(got, string(line))
				if cap(l.line) > 64<<10 {
					t.Errorf("%d bytes of a line are held", cap(l.line))
				}
			}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("got %q", got)
			}
		}
	}
	l := newLines(io.MultiReader(strings.NewReader("half"), iotest.ErrReader(errors.New("broken"))), 100)
	if line, _, err := l.next(); err == nil || err == io.EOF {
		t.Errorf("half a line was taken for one: %q", line)
	}
}

// A long line in the reader's buffer is found whole.
func TestLinesLongerThanTheBuffer(t *testing.T) {
	long := strings.Repeat("x", 200_000)
	l := newLines(strings.NewReader("a\n"+long+"\nb\n"), 1<<20)
	for _, want := range []string{"a", long, "b"} {
		if line, tooLong, err := l.next(); err != nil || tooLong || string(line) != want {
			t.Fatalf("%d bytes, %v, %v", len(line), tooLong, err)
		}
	}
}

func TestStream(t *testing.T) {
	f := &fake{result: server.Result{Matched: 3, Sent: 2, Queued: 1}}
	base := start(t, f, func(c *Config) { c.MaxPublish = 10 })
	body := `{"all":true,"text":"one"}
nonsense

{"topic":"a","json":[1,2]}
{"all":true,"text":"` + strings.Repeat("x", 11) + `"}
{"all":true,"text":"` + strings.Repeat("x", 300_000) + `"}
{"topic":"a","json":[3],"key":"k"}
{"topic":"a","json":[3],"key":"k"}
{"all":true,"binary":"` + base64.StdEncoding.EncodeToString([]byte{0, 1}) + `"}`
	status, header, answer := do(t, request{method: "POST", url: base + "/v1/publish/stream", body: body})
	if status != 200 || header.Get("Content-Type") != "application/x-ndjson" {
		t.Fatalf("%d %v", status, header)
	}
	result := `"matched":3,"sent":2,"queued":1,"dropped":0,"expired":0,"last_client_seconds":0`
	got := strings.Split(answer, "\n")
	for i, want := range []string{
		`{"line":1,` + result + `}`,
		`{"line":2,"status":400,"error":"not a message: `,
		`{"line":4,` + result + `}`,
		`{"line":5,"status":413,"error":"`,
		`{"line":6,"status":413,"error":"`,
		`{"line":7,` + result + `}`,
		`{"line":8,` + result + `,"replayed":true}`,
		`{"line":9,` + result + `}`,
		`{"summary":{"lines":8,"published":5,"failed":3,"replayed":1,"end":"complete","matched":12,"sent":8,"queued":4,"dropped":0,"expired":0}}`,
		``,
	} {
		if i >= len(got) || !strings.HasPrefix(got[i], want) {
			t.Errorf("answer %d of\n%s\nis not %s", i, answer, want)
		}
	}
	var all []string
	for _, m := range f.messages {
		all = append(all, string(m.Data))
	}
	if !reflect.DeepEqual(all, []string{"one", "[1,2]", "[3]", "\x00\x01"}) {
		t.Errorf("published %q", all)
	}
}

func TestStreamQuiet(t *testing.T) {
	f := &fake{}
	base := start(t, f, nil)
	body := strings.Repeat("{\"all\":true,\"text\":\"x\"}\n", 2000) + strings.Repeat("x\n", maxErrors+500)
	_, _, answer := do(t, request{method: "POST", url: base + "/v1/publish/stream?answer=errors&wait=false", body: body})
	if n := strings.Count(answer, "\n"); n != maxErrors+1 {
		t.Errorf("%d lines of answer", n)
	}
	if want := fmt.Sprintf(`"lines":%d,"published":2000,"failed":%d`, 2500+maxErrors, 500+maxErrors); !strings.Contains(answer, want) {
		t.Errorf("%s is missing", want)
	}
	if n := len(f.published()); n != 2000 {
		t.Errorf("%d published", n)
	}
}

func TestStreamRefused(t *testing.T) {
	base := start(t, &fake{}, nil)
	for _, query := range []string{"all", "wait=x", "answer=x", "answer=lines&answer=lines"} {
		if status, _, body := do(t, request{method: "POST", url: base + "/v1/publish/stream?" + query, body: "x"}); status != 400 {
			t.Errorf("%s: %d %s", query, status, body)
		}
	}
}

// dialogue opens a stream whose lines are written one by one.
func dialogue(t *testing.T, base, query string) (*io.PipeWriter, *bufio.Reader) {
	t.Helper()
	body, lines := io.Pipe()
	r, err := http.NewRequest("POST", base+"/v1/publish/stream"+query, body)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	started := make(chan error, 1)
	var answer *http.Response
	go func() {
		var err error
		answer, err = client.Do(r)
		started <- err
	}()
	if err := <-started; err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { lines.Close(); answer.Body.Close() })
	return lines, bufio.NewReader(answer.Body)
}

// Each line is answered when it is published, not when the body ends.
func TestStreamIsADialogue(t *testing.T) {
	base := start(t, &fake{}, nil)
	lines, answers := dialogue(t, base, "")
	for i := 1; i <= 3; i++ {
		fmt.Fprintf(lines, "{\"all\":true,\"text\":\"%d\"}\n", i)
		answer, err := answers.ReadString('\n')
		if want := fmt.Sprintf(`{"line":%d,`, i); err != nil || !strings.HasPrefix(answer, want) {
			t.Fatalf("%q %v", answer, err)
		}
	}
	lines.Close()
	answer, _ := answers.ReadString('\n')
	var s struct{ Summary summary }
	if err := json.Unmarshal([]byte(answer), &s); err != nil || s.Summary.End != "complete" || s.Summary.Published != 3 {
		t.Errorf("%s: %v", answer, err)
	}
}

// A server that ends tells its streams, which would go on for ever.
func TestStreamEndsWithTheServer(t *testing.T) {
	s, err := New(Config{Listen: "127.0.0.1:0", Logger: slog.New(slog.DiscardHandler)}, &fake{})
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = s.Serve() }()
	lines, answers := dialogue(t, "http://"+s.Addr(), "")
	fmt.Fprintln(lines, `{"all":true,"text":"x"}`)
	if _, err := answers.ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	if err := s.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if answer, _ := answers.ReadString('\n'); !strings.Contains(answer, `"end":"stopping"`) {
		t.Errorf("the last word was %q", answer)
	}
}

// A stream that says nothing for too long ends, and says so.
func TestStreamIdle(t *testing.T) {
	a := newAPI(t.Context(), Config{}.withDefaults(), &fake{})
	a.streamIdle = 20 * time.Millisecond
	s := httptest.NewServer(a.routes())
	defer s.Close()
	lines, answers := dialogue(t, s.URL, "")
	defer lines.Close()
	if answer, err := answers.ReadString('\n'); err != nil || !strings.Contains(answer, `"end":"idle"`) {
		t.Errorf("%q %v", answer, err)
	}
}

// A process that hands over does not wait for streams to end. Their lines wait,
// go on if the handover fails, and otherwise are for the newer process.
func TestStreamDuringHandover(t *testing.T) {
	f := &fake{}
	s, err := New(Config{Listen: "127.0.0.1:0", Logger: slog.New(slog.DiscardHandler)}, f)
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve() }()
	lines, answers := dialogue(t, "http://"+s.Addr(), "")
	say := func() {
		if _, err := fmt.Fprintln(lines, `{"all":true,"text":"x"}`); err != nil {
			t.Error(err)
		}
	}
	hear := func() string {
		answer, err := answers.ReadString('\n')
		if err != nil {
			t.Error(err)
		}
		return answer
	}
	say()
	hear()
	if err := s.Hold(t.Context()); err != nil {
		t.Fatal(err)
	}
	say()
	until(t, waitsAtTheTurnstile)
	if messages := f.published(); len(messages) != 1 {
		t.Errorf("%d were published while held", len(messages))
	}
	s.Release()
	if answer := hear(); !strings.Contains(answer, `"line":2`) {
		t.Errorf("released, it said %q", answer)
	}
	if err := s.Hold(t.Context()); err != nil {
		t.Fatal(err)
	}
	say()
	until(t, waitsAtTheTurnstile)
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if err := s.Forward(ctx); err != nil {
		t.Error(err)
	}
	if answer := hear(); !strings.Contains(answer, `"lines":2,"published":2`) || !strings.Contains(answer, `"end":"stopping"`) {
		t.Errorf("the last word was %q", answer)
	}
	if err := <-served; err != nil {
		t.Error(err)
	}
}

// waitsAtTheTurnstile tells that a goroutine is blocked there: what it was read for
// cannot happen until the turnstile lets it in.
func waitsAtTheTurnstile() bool {
	stacks := make([]byte, 1<<20)
	stacks = stacks[:runtime.Stack(stacks, true)]
	return bytes.Contains(stacks, []byte(" [select]:\nwsd/admin.(*turnstile).enter("))
}

// Lines for few clients are under way at once, in order; whatever order they end
// in, the answers come in that of the lines, each as soon as it may.
func TestStreamPipelines(t *testing.T) {
	f := &pipe{results: make(chan chan server.Result, 1000)}
	base := start(t, f, nil)
	lines, answers := dialogue(t, base, "")
	defer lines.Close()
	hear := func(n int) {
		t.Helper()
		answer, err := answers.ReadString('\n')
		if want := fmt.Sprintf(`{"line":%d,"matched":%d,`, n, n); err != nil || !strings.HasPrefix(answer, want) {
			t.Fatalf("%q %v, want %s", answer, err, want)
		}
	}
	n := 0
	for ; n < 50; n++ { // one at a time, until it is known how few they are for
		fmt.Fprintln(lines, `{"topic":"t","text":"x"}`)
		<-f.results <- server.Result{Matched: n + 1}
		hear(n + 1)
	}
	go func() {
		for range 3 * windowLines {
			_, _ = io.WriteString(lines, `{"topic":"t","text":"x"}`+"\n")
		}
	}()
	for range 3 {
		var under []chan server.Result
		for range windowLines {
			under = append(under, <-f.results)
		}
		for k := range under { // the last first
			k = len(under) - 1 - k
			under[k] <- server.Result{Matched: n + 1 + k}
		}
		for range under {
			n++
			hear(n)
		}
	}
}

// pipe is a fake whose publishes end when, and as, they are told to.
type pipe struct {
	fake
	results chan chan server.Result
}

func (p *pipe) Begin(context.Context, server.Target, server.Message) (server.Outcome, error) {
	told := make(pipeOutcome, 1)
	p.results <- told
	return told, nil
}

// pipeOutcome has the result once it was told. It is put back: it may be asked again.
type pipeOutcome chan server.Result

func (o pipeOutcome) Wait(ctx context.Context) (server.Result, error) {
	select {
	case r := <-o:
		o <- r
		return r, nil
	case <-ctx.Done():
		return server.Result{}, ctx.Err()
	}
}

func (o pipeOutcome) Poll() (server.Result, bool, error) {
	select {
	case r := <-o:
		o <- r
		return r, true, nil
	default:
		return server.Result{}, false, nil
	}
}

// A handover waits for the lines under way, not for a publisher that does not
// read the answers to them.
func TestStreamUnderWayDuringHandover(t *testing.T) {
	f := &fake{hold: make(chan struct{})}
	s, err := New(Config{Listen: "127.0.0.1:0", Logger: slog.New(slog.DiscardHandler)}, f)
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = s.Serve() }()
	defer s.Close()
	lines, answers := dialogue(t, "http://"+s.Addr(), "")
	fmt.Fprintln(lines, `{"all":true,"text":"x"}`)
	fmt.Fprintln(lines, `{"all":true,"text":"y","key":"k"}`)
	for end := time.Now().Add(10 * time.Second); len(f.published()) < 2 && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
	}
	short, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := s.Hold(short); err == nil {
		t.Error("nobody waited for what is under way")
	}
	s.Release()
	close(f.hold)
	if err := s.Hold(t.Context()); err != nil {
		t.Error(err)
	}
	if state, err := s.Remembered(); err != nil || !strings.Contains(string(state), `"key":"k"`) {
		t.Errorf("the key is not handed over: %s %v", state, err)
	}
	s.Release()
	lines.Close()
	rest, _ := io.ReadAll(answers)
	if !strings.Contains(string(rest), `"lines":2,"published":2`) {
		t.Errorf("%s", rest)
	}
}

// A publisher that is faster than the server is held back: the server does not
// read on, and what it holds stays small.
func TestStreamHoldsBack(t *testing.T) {
	f := &fake{hold: make(chan struct{})}
	base := start(t, f, nil)
	lines, answers := dialogue(t, base, "")
	text := `{"all":true,"text":"` + strings.Repeat("x", 64<<10) + `"}` + "\n"
	const total = 500 // 32 MiB: more than kernel and buffers take
	wrote := make(chan int, total)
	go func() {
		for i := range total {
			if _, err := io.WriteString(lines, text); err != nil {
				break
			}
			wrote <- i
		}
		lines.Close()
	}()
	stalled := func() bool {
		select {
		case <-wrote:
			return false
		case <-time.After(300 * time.Millisecond):
			return true
		}
	}
	for !stalled() {
	}
	// Two, not more: nobody knows yet how many clients a line is for.
	if n := len(f.published()); n != 2 {
		t.Errorf("%d were published before the first was done", n)
	}
	close(f.hold)
	n := 0
	for {
		answer, err := answers.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(answer, `{"summary"`) {
			break
		}
		n++
	}
	if n != total {
		t.Errorf("%d answers to %d lines", n, total)
	}
}
