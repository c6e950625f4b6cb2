package status

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
)

// example is a block of commands and, if there is one, the block of what they print.
type example struct{ commands, prints string }

var block = regexp.MustCompile("(?m)^```sh\n((?s:.*?))^```\n(?:```json\n((?s:.*?))^```\n)?")

func examples(t *testing.T, file string) (all []example) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, found := range block.FindAllStringSubmatch(string(text), -1) {
		all = append(all, example{found[1], found[2]})
	}
	return all
}

// whatDiffers is what is different each time.
var whatDiffers = []struct {
	what *regexp.Regexp
	name string
}{
	{regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}`), "ID"},
	{regexp.MustCompile(`\d{4}-\d\d-\d\dT[0-9:.]+Z`), "TIME"},
	{regexp.MustCompile(`127\.0\.0\.1:\d+`), "ADDRESS"},
	{regexp.MustCompile(`"last_client_seconds":[0-9.e-]+`), "SECONDS"},
	{regexp.MustCompile(`"next":"\d-\d+"`), "NEXT"},
}

func plain(text string) string {
	for _, d := range whatDiffers {
		text = d.what.ReplaceAllString(text, d.name)
	}
	return strings.TrimSpace(text)
}

// subscribe connects a client that reads until the test ends.
func subscribe(t *testing.T, address string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c, _, _, err := ws.Dial(ctx, "ws://"+address+"/ws")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := wsutil.WriteClientText(c, []byte(`{"actioncode":"subscribe","data":{"topics":["news"]}}`)); err != nil {
		t.Fatal(err)
	}
	if _, err := wsutil.ReadServerText(c); err != nil {
		t.Fatal(err)
	}
	go func() {
		for {
			if _, _, err := wsutil.ReadServerData(c); err != nil {
				return
			}
		}
	}()
}

// The commands of docs/publishing.md work as printed, and print what it says.
// curl alone is told where 127.0.0.1:8067 is today.
func TestExamples(t *testing.T) {
	clients, admin := serve(t, "--loops=1")
	subscribe(t, clients)
	subscribe(t, clients)
	all := examples(t, "../../docs/publishing.md")
	if len(all) < 15 {
		t.Fatalf("only %d examples were found", len(all))
	}
	const end = "\n--- end of example\n"
	script := "set -e -o pipefail\ncurl() { command curl --connect-to 127.0.0.1:8067:$WSD_ADMIN \"$@\"; }\n"
	for _, e := range all {
		script += e.commands + "printf '%s' '" + end + "'\n"
	}
	file := filepath.Join(t.TempDir(), "examples.sh")
	if err := os.WriteFile(file, []byte(script), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, "bash", file)
	cmd.Dir = filepath.Dir(file)
	cmd.Env = append(os.Environ(), "WSD_ADMIN="+admin)
	cmd.WaitDelay = time.Second
	var failed strings.Builder
	cmd.Stderr = &failed
	out, err := cmd.Output()
	if err != nil {
		t.Errorf("%v\n%s", err, &failed)
	}
	said := strings.Split(string(out), end)
	for i, e := range all {
		if i >= len(said) || e.prints != "" && plain(said[i]) != plain(e.prints) || strings.TrimSpace(said[i]) == "" && !strings.Contains(e.commands, "ID=") {
			t.Fatalf("example %d\n%sprinted\n%s\nnot\n%s", i+1, e.commands, said[min(i, len(said)-1)], e.prints)
		}
	}
}
