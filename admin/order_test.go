package admin

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
)

// Several publishers at once, each with a stream, to clients of a real server:
// each client gets every message of each publisher once and in order, and the
// summaries add up to that.
func TestStreamsArriveInOrder(t *testing.T) {
	s, address := live(t)
	base := start(t, s, nil)
	const clients, publishers, messages = 10, 3, 300
	var crowd []*wsClient
	for range clients {
		crowd = append(crowd, join(t, address, "news"))
	}
	var all sync.WaitGroup
	summaries := make([]string, publishers)
	for p := range publishers {
		all.Go(func() {
			var body strings.Builder
			for n := range messages {
				fmt.Fprintf(&body, "{\"topic\":\"news\",\"text\":\"%d %d\"}\n", p, n)
			}
			query := "?answer=errors" + []string{"", "&wait=false", ""}[p]
			r, err := http.Post(base+streamPath+query, ndjson, strings.NewReader(body.String()))
			if err != nil {
				t.Error(err)
				return
			}
			defer r.Body.Close()
			text, _ := io.ReadAll(r.Body)
			summaries[p] = string(text)
		})
	}
	for _, c := range crowd {
		next := [publishers]int{}
		for range publishers * messages {
			var p, n int
			text := c.read()
			if _, err := fmt.Sscanf(text, "%d %d", &p, &n); err != nil || next[p] != n {
				t.Fatalf("got %q after %v: %v", text, next, err)
			}
			next[p]++
		}
	}
	all.Wait()
	for p, text := range summaries {
		want := fmt.Sprintf(`"published":%d,"failed":0,"replayed":0,"end":"complete","matched":%d,`, messages, []int{clients * messages, 0, clients * messages}[p])
		if !strings.Contains(text, want) {
			t.Errorf("publisher %d: %s", p, text)
		}
	}
}
