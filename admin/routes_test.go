package admin

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// ask sends a request line that no HTTP client would, and returns the answer
// with its body read.
func ask(t *testing.T, address, method, target string) (*http.Response, []byte) {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	fmt.Fprintf(c, "%s %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx", method, target)
	r, err := http.ReadResponse(bufio.NewReader(c), &http.Request{Method: method})
	if err != nil {
		t.Fatalf("%s %s: %v", method, target, err)
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatalf("%s %s: %v", method, target, err)
	}
	return r, body
}

// isProblem wants an error as all are.
func isProblem(r *http.Response, body []byte) bool {
	var p struct{ Status int }
	return r.Header.Get("Content-Type") == "application/problem+json" && json.Unmarshal(body, &p) == nil && p.Status == r.StatusCode
}

// Every path that is nearly one of the calls, with every method, is served or a
// problem. Nothing is sent on elsewhere: to curl --fail that is a success.
func TestServedOrAProblem(t *testing.T) {
	f := &fake{clients: crowd(1)}
	address := strings.TrimPrefix(start(t, f, nil), "http://")
	known := map[string]bool{}
	for _, c := range newAPI(t.Context(), Config{}.withDefaults(), f).calls() {
		path := strings.NewReplacer("{$}", "", "{id}", idA, "{topic}", "news", "{profile}", "heap").Replace(c.path)
		known[path] = true
	}
	known["/nowhere"] = true
	for path := range known {
		if path == pprofPath+"profile" || path == pprofPath+"trace" {
			continue // they take as long as they are asked to
		}
		bare := strings.TrimSuffix(path, "/")
		for _, target := range []string{path, "/" + path, path + "/", bare, "/." + path, "/x/.." + path, "/%2e" + path, path + "/.", path + "/..",
			"/%2F" + path[1:], strings.ReplaceAll(path, "/", "//"), path + "%2F", "*"} {
			if target == "" {
				continue
			}
			for _, method := range []string{"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "BREW"} {
				asked := target + "?all"
				if target == "*" {
					asked = target // it takes none
				}
				r, body := ask(t, address, method, asked)
				switch {
				case r.StatusCode/100 == 2:
					if !known[target] && !strings.HasPrefix(target, "/v1/topics/") { // a topic may have any name
						t.Errorf("%s %s: served: %d", method, target, r.StatusCode)
					}
				case r.StatusCode < 400:
					t.Errorf("%s %s: %d %s", method, target, r.StatusCode, r.Header.Get("Location"))
				case method != "HEAD" && !isProblem(r, body):
					t.Errorf("%s %s: %d is no problem: %v %s", method, target, r.StatusCode, r.Header, body)
				case (r.StatusCode == http.StatusMethodNotAllowed) != (r.Header.Get("Allow") != ""):
					t.Errorf("%s %s: %d, Allow %q", method, target, r.StatusCode, r.Header.Get("Allow"))
				}
			}
		}
	}
}

func TestNoSuchPath(t *testing.T) {
	f := &fake{}
	address := strings.TrimPrefix(start(t, f, nil), "http://")
	for target, detail := range map[string]string{
		"//v1/publish?all":   "there is nothing at //v1/publish: write /v1/publish?all",
		"/v1/./publish?all":  "there is nothing at /v1/./publish: write /v1/publish?all",
		"/v1/publish/?all":   "there is nothing at /v1/publish/",
		"/debug/pprof":       "there is nothing at /debug/pprof: write /debug/pprof/",
		"/debug/pprof/heaps": "there is no profile heaps",
	} {
		method := "POST"
		if strings.HasPrefix(target, "/debug") {
			method = "GET"
		}
		r, body := ask(t, address, method, target)
		if !isProblem(r, body) || r.StatusCode != 404 || !strings.Contains(string(body), `"`+detail+`"`) {
			t.Errorf("%s: %d %s", target, r.StatusCode, body)
		}
	}
	if messages := f.published(); len(messages) != 0 {
		t.Errorf("%d messages were published", len(messages))
	}
}

// What is no text is no name: percent-encoding can say what JSON and paths
// cannot, and nothing else is put in its place.
func TestNamesAreText(t *testing.T) {
	f := &fake{}
	address := strings.TrimPrefix(start(t, f, nil), "http://")
	for _, broken := range []string{"%ff", "%ED%A0%BD", "%C0%80"} {
		for target, method := range map[string]string{
			"/v1/publish?topic=":                 "POST",
			"/v1/publish?topic=news&topic=":      "POST",
			"/v1/publish?client=":                "POST",
			"/v1/publish?all&coalesce=":          "POST",
			"/v1/publish?all&deadline=":          "POST",
			"/v1/clients?cursor=":                "GET",
			"/v1/clients/":                       "DELETE",
			"/v1/clients/" + idA + "?reason=":    "DELETE",
			"/v1/topics/news/clients?reason=":    "DELETE",
			"/v1/topics/news/clients?code=1000&": "DELETE",
		} {
			if r, body := ask(t, address, method, target+broken); !isProblem(r, body) || r.StatusCode != 400 {
				t.Errorf("%s %s%s: %d %s", method, target, broken, r.StatusCode, body)
			}
		}
		if r, body := ask(t, address, "DELETE", "/v1/topics/"+broken+"/clients"); r.StatusCode != 400 {
			t.Errorf("closing the topic %s: %d %s", broken, r.StatusCode, body)
		}
	}
	if len(f.published()) != 0 || len(f.closes) != 0 {
		t.Errorf("%v, %v", f.published(), f.closes)
	}
}
