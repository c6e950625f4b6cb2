package auth

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestExposed(t *testing.T) {
	me := uint32(os.Geteuid())
	for _, c := range []struct {
		dir, file os.FileMode
		secret    bool
		user      uint32
		want      []string
	}{
		{0o755, 0o600, true, me, nil},
		{0o755, 0o640, true, me, nil},
		{0o755, 0o644, false, me, nil},
		{0o755, 0o644, true, me, []string{"every user may read"}},
		{0o755, 0o620, true, me, []string{"others may write the file (mode 0620"}},
		{0o755, 0o602, false, me, []string{"others may write the file (mode 0602"}},
		{0o775, 0o600, true, me, []string{"others may write its folder (mode 0775"}},
		{0o777 | os.ModeSticky, 0o600, true, me, nil},
		{0o777, 0o666, true, me, []string{"write the file", "may read", "write its folder"}},
	} {
		dir := filepath.Join(t.TempDir(), "keys")
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		file, link := filepath.Join(dir, "key"), filepath.Join(t.TempDir(), "link")
		err := os.WriteFile(file, secret, 0o600)
		for _, err := range []error{err, os.Chmod(file, c.file), os.Chmod(dir, c.dir), os.Symlink(file, link)} {
			if err != nil {
				t.Fatal(err)
			}
		}
		got := exposed(link, c.secret, c.user)
		ok := len(got) == len(c.want)
		for i := 0; ok && i < len(got); i++ {
			ok = strings.Contains(got[i], c.want[i])
		}
		if !ok {
			t.Errorf("folder %v, file %v, secret %v: %q; want %q", c.dir, c.file, c.secret, got, c.want)
		}
	}
	if got := exposed("/dev/null", true, me); got != nil {
		t.Errorf("a device: %q", got)
	}
}

func TestExposedToItsOwner(t *testing.T) {
	file := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(file, secret, 0o600); err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() == 0 {
		if err := os.Chown(file, 4711, -1); err != nil {
			t.Skip(err)
		}
		if got := strings.Join(exposed(file, true, 0), "\n"); !strings.Contains(got, "the file belongs to the user 4711") {
			t.Errorf("got %q", got)
		}
		return
	}
	if got := strings.Join(exposed(file, true, uint32(os.Geteuid())+1), "\n"); !strings.Contains(got, "the file belongs to the user") {
		t.Errorf("got %q", got)
	}
}

// TestLoadWarns: Load knows by itself whether the key is secret.
func TestLoadWarns(t *testing.T) {
	for name, key := range map[string][]byte{"secret": secret, "public": publicPEM(t, must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)).Public())} {
		file := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(file, key, 0o644); err != nil {
			t.Fatal(err)
		}
		var log bytes.Buffer
		if _, err := Load(file, slog.New(slog.NewTextHandler(&log, nil))); err != nil {
			t.Fatal(err)
		}
		if told := strings.Contains(log.String(), "every user may read"); told != (name == "secret") || told && !strings.Contains(log.String(), file) {
			t.Errorf("%s: %q", name, log.String())
		}
	}
}
