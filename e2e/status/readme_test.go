package status

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

var readmeCurl = regexp.MustCompile(`(?m)^ {4}(?:\$ )?(curl .*)$`)

// Each curl command of the README works as printed, and is answered 2xx.
func TestReadme(t *testing.T) {
	_, admin := serve(t)
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	all := readmeCurl.FindAllStringSubmatch(string(text), -1)
	if len(all) < 3 {
		t.Fatalf("only %d commands were found", len(all))
	}
	for _, found := range all {
		script := "curl() { command curl -sS --fail-with-body --connect-to 127.0.0.1:8067:" + admin + " \"$@\"; }\n" + found[1]
		if said := command(t, nil, "bash", "-c", script); strings.TrimSpace(said) == "" {
			t.Errorf("%s printed nothing", found[1])
		}
	}
}
