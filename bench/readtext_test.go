package bench

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A byte order mark in front of a scenario or a report is skipped.
func TestByteOrderMark(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte("\ufeff"+text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, text := range []string{"clients: 7\n", `{"clients": 7}`, "# seven\nclients: 7\n"} {
		write(text)
		var p Plan
		if err := LoadScenario(file, &p); err != nil || p.Clients != 7 {
			t.Errorf("%q: %d clients, %v", text, p.Clients, err)
		}
	}
	report, err := json.Marshal(Report{Schema: Schema})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Read(strings.NewReader("\ufeff" + string(report))); err != nil {
		t.Error(err)
	}
}
