package vm

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestMain is the whole user space of the machine: the kernel starts this binary
// as process 1, with the flags that follow "--" on the kernel's command line. The
// last line on the console is the exit status, for run.sh.
func TestMain(m *testing.M) {
	if os.Getpid() != 1 {
		fmt.Println("lab/vm: these tests need a machine of their own: make vm")
		return
	}
	status := 1
	if err := boot(); err != nil {
		fmt.Println("the machine does not come up:", err)
	} else {
		status = m.Run()
	}
	fmt.Printf("vm: exit status %d\n", status)
	_ = unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF)
}

// boot does what an init does before it starts services. It leaves the kernel's
// settings as they are.
func boot() error {
	for _, m := range []struct{ kind, at string }{
		{"proc", "/proc"}, {"sysfs", "/sys"}, {"devtmpfs", "/dev"}, {"tmpfs", "/tmp"}, {"tmpfs", "/var"}, {"cgroup2", "/sys/fs/cgroup"},
	} {
		if err := os.MkdirAll(m.at, 0o755); err != nil {
			return err
		}
		if err := unix.Mount(m.kind, m.at, m.kind, 0, ""); err != nil && !errors.Is(err, unix.EBUSY) {
			return fmt.Errorf("mount %s: %w", m.at, err)
		}
	}
	if err := os.Chmod("/tmp", 0o777|os.ModeSticky); err != nil {
		return err
	}
	os.Setenv("PATH", "/bin")
	return loopbackUp()
}

func loopbackUp() error {
	s, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(s)
	lo, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	lo.SetUint16(unix.IFF_UP)
	return unix.IoctlIfreq(s, unix.SIOCSIFFLAGS, lo)
}

// load puts kernel modules in, in this order. One that the image does not have is
// built into the kernel, or the machine misses it when it is used.
func load(t *testing.T, parameters string, names ...string) {
	t.Helper()
	for i, name := range names {
		f, err := os.Open("/modules/" + name + ".ko")
		if os.IsNotExist(err) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		args := ""
		if i == len(names)-1 {
			args = parameters
		}
		err = unix.FinitModule(int(f.Fd()), args, 0)
		f.Close()
		if err != nil && !errors.Is(err, unix.EEXIST) {
			t.Fatalf("module %s: %v", name, err)
		}
	}
}

// sysctlFile is the file of a setting with dots.
func sysctlFile(name string) string { return "/proc/sys/" + strings.ReplaceAll(name, ".", "/") }

func sysctl(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(sysctlFile(name))
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(text))
}

// set changes a setting of the kernel until the test ends, or restore is called.
func set(t *testing.T, name, value string) (restore func()) {
	t.Helper()
	old := sysctl(t, name)
	write := func(value string) {
		if err := os.WriteFile(sysctlFile(name), []byte(value), 0); err != nil {
			t.Errorf("%s = %s: %v", name, value, err)
		}
	}
	write(value)
	restore = func() { write(old) }
	t.Cleanup(restore)
	return restore
}

// firstNumber is the first one of a file such as fs.file-nr.
func firstNumber(t *testing.T, name string) int {
	t.Helper()
	n, err := strconv.Atoi(strings.Fields(sysctl(t, name))[0])
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// group makes a control group of version 2 with settings, for as long as the test
// runs.
func group(t *testing.T, settings map[string]string) (dir string) {
	t.Helper()
	root := "/sys/fs/cgroup"
	if err := os.WriteFile(filepath.Join(root, "cgroup.subtree_control"), []byte("+memory"), 0); err != nil {
		t.Fatal(err)
	}
	dir = filepath.Join(root, "wsd")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { until(t, "the control group is empty", func() bool { return os.Remove(dir) == nil }) })
	for name, value := range settings {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(value), 0); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// patience is how long a test waits for what should happen soon: the processor is
// emulated, and others use the one that emulates it.
const patience = 2 * time.Minute

// until polls for a condition.
func until(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for began := time.Now(); !holds(); time.Sleep(20 * time.Millisecond) {
		if time.Since(began) > patience {
			t.Fatalf("waited in vain until %s", what)
		}
	}
}

// TestMachine tells what it is, and that it is as a machine that was just booted.
func TestMachine(t *testing.T) {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		t.Fatal(err)
	}
	t.Logf("Linux %s, %s, %d processors, the clock says %v", unix.ByteSliceToString(u.Release[:]), runtime.GOARCH, runtime.NumCPU(), time.Now().UTC().Truncate(time.Second))
	if source, err := os.ReadFile("/sys/devices/system/clocksource/clocksource0/current_clocksource"); err == nil {
		t.Logf("its clock is %s", bytes.TrimSpace(source))
	}
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	t.Logf("nofile %d, fs.nr_open %s, fs.file-max %s, net.core.somaxconn %s", limit.Max, sysctl(t, "fs.nr_open"), sysctl(t, "fs.file-max"), sysctl(t, "net.core.somaxconn"))
}
