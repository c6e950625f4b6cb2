package bench

import (
	"os"
	"path/filepath"
	"testing"
)

// A byte order mark in front of a scenario is skipped.
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
}
