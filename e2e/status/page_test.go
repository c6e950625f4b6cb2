package status

import (
	"os"
	"path/filepath"
	"testing"
)

const token = "only-for-this-test"

// The status page works in Chromium, with and without a token. E2E_PICTURES=DIR
// keeps what it looked like, and E2E_LINGER=SECONDS lets its charts fill.
func TestPage(t *testing.T) {
	for _, c := range []struct{ name, token string }{{"open", ""}, {"token", token}} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var flags []string
			if c.token != "" {
				file := filepath.Join(t.TempDir(), "token")
				if err := os.WriteFile(file, []byte(c.token), 0o600); err != nil {
					t.Fatal(err)
				}
				flags = append(flags, "--admin-token-file="+file)
			}
			clients, admin := serve(t, flags...)
			pictures := ""
			if c.token == "" {
				pictures = os.Getenv("E2E_PICTURES")
			}
			command(t, []string{"WSD_ADMIN=http://" + admin, "WSD_URL=ws://" + clients + "/ws", "WSD_TOKEN=" + c.token,
				"WSD_PICTURES=" + pictures, "WSD_LINGER=" + os.Getenv("E2E_LINGER")}, "node", "page.mjs")
		})
	}
}
