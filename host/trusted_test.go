package host

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// What apply can set on any host, revert can restore, and nothing else.
func TestApplySetsWhatRevertTakes(t *testing.T) {
	files, err := filepath.Glob(filepath.Join("testdata", "*.txt"))
	if err != nil || len(files) == 0 {
		t.Fatal(err)
	}
	set := map[string]bool{}
	for _, n := range []Needs{{Clients: 1}, {Clients: 1_000_000, LoadGenerator: true, Heartbeat: time.Minute}} {
		for _, file := range files {
			name := strings.TrimSuffix(filepath.Base(file), ".txt")
			f, err := Read(record(t, name))
			if err != nil {
				t.Fatal(err)
			}
			f.Sysctl["net.ipv4.tcp_syncookies"] = []int64{0}
			if f.Sysctl["net.netfilter.nf_conntrack_tcp_timeout_established"] != nil {
				f.Sysctl["net.netfilter.nf_conntrack_tcp_timeout_established"] = []int64{1}
			}
			for _, it := range Plan(f, n) {
				if s := it.Setting; s != nil {
					if set[s.Key] = true; !settable(s.Key, s.Path) {
						t.Errorf("%s: revert would refuse %s at %s", name, s.Key, s.Path)
					}
				}
			}
		}
	}
	for _, key := range applied {
		if !set[key] {
			t.Errorf("%s may be reverted, and is applied on no recorded host", key)
		}
	}
	if !slices.IsSorted(applied) {
		t.Error("the list is not sorted")
	}
}

// A state file that another user may have written is not believed.
func TestStateFileIsOurs(t *testing.T) {
	refused := func(file, want string) {
		t.Helper()
		if _, err := loadState(file); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), file) {
			t.Errorf("error %v, want one that names %s and says %q", err, file, want)
		}
	}
	file := filepath.Join(t.TempDir(), "tune.json")
	if err := os.WriteFile(file, []byte(`{"version":1}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := loadState(file); err != nil {
		t.Error(err)
	}
	for _, mode := range []os.FileMode{0o620, 0o602} {
		if err := os.Chmod(file, mode); err != nil {
			t.Fatal(err)
		}
		refused(file, "others than its owner")
	}
	if err := os.Chmod(file, 0o644); err != nil {
		t.Fatal(err)
	}
	st, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	owner := int(st.Sys().(*syscall.Stat_t).Uid)
	if err := trusted(st, owner); err != nil {
		t.Error(err)
	}
	if err := trusted(st, owner+1); (err == nil) != (owner == 0) {
		t.Errorf("of user %d, read by %d: %v", owner, owner+1, err)
	}
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	refused(pipe, "no regular file")
	if os.Geteuid() == 0 {
		if err := os.Chown(file, 65534, 65534); err != nil {
			t.Fatal(err)
		}
		refused(file, "user 65534")
	}
}
