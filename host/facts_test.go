package host

import (
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"testing/fstest"
)

func TestReadFixtures(t *testing.T) {
	for _, c := range []struct {
		name  string
		check func(f Facts) bool
		what  string
	}{
		{"vm-6.18", func(f Facts) bool { return f.Container == "" && !f.innerNetNS() && f.Root && f.Admin }, "a virtual machine made from a container image is no container"},
		{"vm-6.18", func(f Facts) bool { return f.NoFile == Limit{20000, 20000} }, "limits"},
		{"vm-6.18", func(f Facts) bool { return f.Memory.Total == 24684096<<10 && f.Memory.Swap == 0 }, "memory in bytes"},
		{"vm-6.18", func(f Facts) bool { return f.Cgroup == Cgroup{} }, "version 1's largest number is no limit"},
		{"vm-6.18", func(f Facts) bool { return f.THP == "madvise" && !f.Systemd.Booted }, "huge pages, no systemd"},
		{"container", func(f Facts) bool { return f.Container == "docker" && f.innerNetNS() && f.SysReadOnly }, "a container with its walls"},
		{"container", func(f Facts) bool { return f.Root && !f.Admin }, "root without CAP_SYS_ADMIN"},
		{"container", func(f Facts) bool { return f.NoFile == Limit{1024, 524288} }, "limits"},
		{"container", func(f Facts) bool {
			return f.Cgroup == Cgroup{"/sys/fs/cgroup/memory.max", 8 << 30, 50 << 20, true}
		}, "control group version 2"},
		{"conntrack-full", func(f Facts) bool { return f.tracking() && f.Counters["ListenOverflows"] == 4711 }, "tracking, counters"},
		{"conntrack-full", func(f Facts) bool { return f.Systemd == UnitLimit{Booted: true, Limit: systemdDefault} }, "systemd without a unit"},
		{"centos7-3.10", func(f Facts) bool { return f.SoftnetDrops == 17 && f.TCPPages == 12 }, "softnet and sockstat"},
		{"centos7-3.10", func(f Facts) bool {
			return f.Systemd == UnitLimit{true, true, "/etc/systemd/system/wsd.service.d/limits.conf", Limit{200000, 200000}}
		}, "a drop-in wins over the unit"},
		{"centos7-3.10", func(f Facts) bool { return f.THP == "always" && f.Memory.Swap == 2097148<<10 }, "huge pages and swap"},
	} {
		if f := facts(t, c.name); !c.check(f) {
			t.Errorf("%s: %s: %+v", c.name, c.what, f)
		}
	}
}

func TestReadWhereThereIsNoLinux(t *testing.T) {
	if _, err := Read(t.TempDir()); err == nil || !strings.Contains(err.Error(), "meminfo") {
		t.Errorf("error %v, want one that says what is missing", err)
	}
}

func TestReadThisMachine(t *testing.T) {
	if _, err := os.Stat("/proc/self/limits"); err != nil {
		if _, err := Read("/"); err == nil {
			t.Error("no Linux here, and no error")
		}
		return
	}
	f, err := Read("/")
	if err != nil {
		t.Fatal(err)
	}
	if f.Kernel == "" || f.NoFile.Hard <= 0 || f.Memory.Total <= 0 || len(f.Sysctl["net.core.somaxconn"]) != 1 {
		t.Errorf("facts missing: %+v", f)
	}
}

func TestParseNumbers(t *testing.T) {
	for in, want := range map[string][]int64{
		"":                               nil,
		"  \n":                           nil,
		"4096\t131072\t33554432\n":       {4096, 131072, 33554432},
		"-1":                             {-1},
		"18446744073709551615":           {math.MaxInt64}, // fs.file-max of some kernels
		"9223372036854775807":            {math.MaxInt64},
		"unlimited":                      {math.MaxInt64},
		"max":                            {math.MaxInt64},
		"infinity":                       {math.MaxInt64},
		"12 x":                           nil,
		"1e6":                            nil,
		"99999999999999999999999999 1":   nil,
		"always [madvise] never":         nil,
		strings.Repeat("7 ", 3) + " 8\t": {7, 7, 7, 8},
	} {
		if got := parseNumbers(in); !reflect.DeepEqual(got, want) {
			t.Errorf("parseNumbers(%q) = %v, want %v", in, got, want)
		}
	}
}

func TestContainerTraces(t *testing.T) {
	readOnly := "45 43 0:21 / /proc rw - proc proc rw\n63 45 0:21 /sys /proc/sys ro,relatime - proc proc rw\n"
	for _, c := range []struct {
		file, text, mounts, want string
	}{
		{".dockerenv", "", readOnly, "docker"},
		{".dockerenv", "", "1 0 254:0 / / rw - ext4 /dev/vda rw\n", ""},
		{".dockerenv", "", "1 0 0:1 / / rw - overlay overlay rw\n", "docker"},
		{"run/.containerenv", "", readOnly, "podman"},
		{"var/run/secrets/kubernetes.io/serviceaccount/token", "", readOnly, "kubernetes"},
		{"proc/1/cgroup", "4:memory:/kubepods/burstable/pod1/2", readOnly, "kubernetes"},
		{"proc/1/cgroup", "4:memory:/docker/0123", readOnly, "docker"},
		{"proc/1/cgroup", "4:memory:/machine.slice/libpod-1.scope", readOnly, "podman"},
		{"proc/1/cgroup", "4:memory:/lxc/a", readOnly, "lxc"},
		{"proc/1/cgroup", "4:memory:/", readOnly, ""},
	} {
		root := t.TempDir()
		put(t, root, c.file, c.text)
		put(t, root, "proc/self/mountinfo", c.mounts)
		var f Facts
		f.readProc(tree{os.DirFS(root)}, filepath.Join(root, "proc"))
		if f.Container != c.want {
			t.Errorf("%s %q with mounts %q: container %q, want %q", c.file, c.text, c.mounts, f.Container, c.want)
		}
	}
}

func TestCgroupTakesTheTightestOnTheWay(t *testing.T) {
	file := func(s string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(s)} }
	for name, c := range map[string]struct {
		fs   fstest.MapFS
		want Cgroup
	}{
		"version 2, a parent is tighter": {fstest.MapFS{
			"proc/self/cgroup":                  file("0::/a/b\n"),
			"sys/fs/cgroup/a/memory.max":        file("1000\n"),
			"sys/fs/cgroup/a/memory.current":    file("10\n"),
			"sys/fs/cgroup/a/b/memory.max":      file("2000\n"),
			"sys/fs/cgroup/a/b/memory.swap.max": file("max\n"),
		}, Cgroup{"/sys/fs/cgroup/a/memory.max", 1000, 10, false}},
		"version 2, throttled before the limit": {fstest.MapFS{
			"proc/self/cgroup":            file("0::/\n"),
			"sys/fs/cgroup/memory.max":    file("2000\n"),
			"sys/fs/cgroup/memory.high":   file("1500\n"),
			"sys/fs/cgroup/memory.events": file("x\n"),
		}, Cgroup{"/sys/fs/cgroup/memory.high", 1500, 0, false}},
		"version 1, the path is the host's": {fstest.MapFS{
			"proc/self/cgroup":                           file("5:cpu,memory:/docker/abc\n0::/\n"),
			"sys/fs/cgroup/memory/memory.limit_in_bytes": file("4096\n"),
			"sys/fs/cgroup/memory/memory.usage_in_bytes": file("1\n"),
		}, Cgroup{"/sys/fs/cgroup/memory/memory.limit_in_bytes", 4096, 1, false}},
		"none":    {fstest.MapFS{"proc/self/cgroup": file("0::/a\n"), "sys/fs/cgroup/a/memory.max": file("max\n")}, Cgroup{}},
		"strange": {fstest.MapFS{"proc/self/cgroup": file("0::\n:::\nx\n0::relative\n")}, Cgroup{}},
	} {
		c.want.Limit = max(c.want.Limit, 0)
		if got := readCgroup(tree{c.fs}); got != c.want {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
	}
}

func TestUnitLimitOrder(t *testing.T) {
	file := func(s string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(s)} }
	fs := fstest.MapFS{"run/systemd/system/x": file("")}
	step := func(name, text string, want UnitLimit) {
		t.Helper()
		if name != "" {
			fs[name] = file(text)
		}
		want.Booted = true
		if got := readUnitLimit(tree{fs}); got != want {
			t.Errorf("with %s: %+v, want %+v", name, got, want)
		}
	}
	step("", "", UnitLimit{Limit: systemdDefault})
	step("etc/systemd/system.conf", "[Manager]\n#DefaultLimitNOFILE=1:2\nDefaultLimitNOFILE=10:20\n", UnitLimit{File: "/etc/systemd/system.conf", Limit: Limit{10, 20}})
	step("etc/systemd/system.conf.d/a.conf", "DefaultLimitNOFILE = 30", UnitLimit{File: "/etc/systemd/system.conf.d/a.conf", Limit: Limit{30, 30}})
	step("usr/lib/systemd/system/wsd.service", "[Service]\nLimitNOFILE=50:60", UnitLimit{Unit: true, File: "/usr/lib/systemd/system/wsd.service", Limit: Limit{50, 60}})
	step("usr/lib/systemd/system/wsd.service.d/50.conf", "LimitNOFILE=infinity", UnitLimit{Unit: true, File: "/usr/lib/systemd/system/wsd.service.d/50.conf", Limit: Limit{math.MaxInt64, math.MaxInt64}})
	step("etc/systemd/system/wsd.service.d/50.conf", "LimitNOFILE=5\nLimitNOFILE=7:3\nLimitNOFILE=x", UnitLimit{Unit: true, File: "/etc/systemd/system/wsd.service.d/50.conf", Limit: Limit{5, 5}})
	step("usr/lib/systemd/system/wsd.service.d/60.conf", "LimitNOFILE=9", UnitLimit{Unit: true, File: "/usr/lib/systemd/system/wsd.service.d/60.conf", Limit: Limit{9, 9}})
}

// FuzzRead puts anything at all into the files that are parsed: no panic, and no
// number that arithmetic would choke on.
func FuzzRead(f *testing.F) {
	for _, name := range fixtures {
		b, err := os.ReadFile("testdata/" + name + ".txt")
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(b))
	}
	f.Add("0") // of which procfs' Meminfo panics
	f.Add("Max open files 1 2 files\nTCP: mem\nTcpExt: a\nTcpExt: 1 2\nUid:\nCapEff: zz\n0::/../..\n")
	f.Fuzz(func(t *testing.T, s string) {
		file := &fstest.MapFile{Data: []byte(s)}
		fs := tree{fstest.MapFS{
			"proc/self/limits": file, "proc/self/status": file, "proc/self/cgroup": file, "sys/fs/cgroup/memory.max": file,
			"proc/net/netstat": file, "run/systemd/system/wsd.service": file, "proc/1/cgroup": file,
		}}
		readNoFile(fs)
		readRights(fs)
		readContainer(fs, Facts{SysReadOnly: true}, nil)
		readCgroup(fs)
		readTCPExt(fs)
		readUnitLimit(fs)
		chosen(s)
		proc := t.TempDir()
		for _, name := range []string{"self/mountinfo", "meminfo", "net/sockstat", "net/softnet_stat"} {
			put(t, proc, name, s)
		}
		var facts Facts
		facts.readProc(fs, proc)
		if m := facts.Memory; m.Total < 0 || m.Available < 0 || m.Swap < 0 {
			t.Errorf("negative memory %+v", m)
		}
	})
}
