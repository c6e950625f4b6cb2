package admin

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"

	"wsd/server"
)

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
	for _, query := range []string{"all", "wait=x", "wait=", "answer=x", "answer=lines&answer=lines"} {
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
