package host

import (
	"strings"
	"testing"
)

// assignments reads a sysctl.d file the way systemd-sysctl does.
func assignments(t *testing.T, file string) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, line := range strings.Split(file, "\n") {
		if line == "" || line[0] == '#' {
			continue
		}
		key, value, ok := strings.Cut(strings.TrimPrefix(line, "-"), "=")
		if !ok {
			t.Errorf("no assignment: %q", line)
		}
		key = strings.TrimSpace(key)
		if _, twice := out[key]; twice {
			t.Errorf("%s twice", key)
		}
		out[key] = strings.TrimSpace(value)
	}
	return out
}

// TestSysctlFile: loading the file lowers nothing on the host it was made for,
// and makes every setting fit.
func TestSysctlFile(t *testing.T) {
	n := Needs{Clients: 700_000, LoadGenerator: true}
	for _, name := range fixtures {
		f := facts(t, name)
		text := Sysctl(f, n)
		for key, value := range assignments(t, text) {
			want := parseNumbers(value)
			if want == nil {
				t.Errorf("%s: %s = %q", name, key, value)
			}
			for i, now := range f.Sysctl[key] {
				if want[i] < now && key != "net.ipv4.ip_local_port_range" {
					t.Errorf("%s: %s = %s is below %v", name, key, value, f.Sysctl[key])
				}
			}
			f.Sysctl[key] = want
		}
		for _, it := range Plan(f, n) {
			if it.Setting != nil && it.Setting.isSysctl() && (it.Verdict == Fail || it.Verdict == Warn) {
				t.Errorf("%s: %s is still %s with the file loaded", name, it.Name, it.Verdict)
			}
		}
		if loaded := strings.Contains(text, "-net.netfilter.nf_conntrack_max = "); !loaded {
			t.Errorf("%s: conntrack's settings are not optional in\n%s", name, text)
		}
	}
	if s := Sysctl(facts(t, "centos7-3.10"), n); !strings.Contains(s, "w /sys/kernel/mm/transparent_hugepage/enabled - - - - madvise") {
		t.Errorf("nothing about huge pages in\n%s", s)
	}
}

func TestSystemdDropIn(t *testing.T) {
	s := Systemd(facts(t, "conntrack-full"), Needs{Clients: 1_000_000})
	for _, want := range []string{"\n[Service]\n", "\nLimitNOFILE=1001024\n", "\nMemorySwapMax=0\n", "\n#MemoryMax="} {
		if !strings.Contains(s, want) {
			t.Errorf("no %q in\n%s", want, s)
		}
	}
}

// TestContainerFlags: a container is given what it can have for itself, and what
// it cannot have is only told. Two settings of one are never both.
func TestContainerFlags(t *testing.T) {
	s := Container(facts(t, "vm-6.18"), Needs{Clients: 1_000_000, LoadGenerator: true})
	for _, want := range []string{
		"--ulimit nofile=1001024:1001024", `--sysctl net.core.somaxconn="16384"`, `--sysctl net.ipv4.ip_local_port_range="10240 65535"`,
		`- {name: net.core.somaxconn, value: "16384"}`, "#   fs.nr_open = 1001024", "#   net.ipv4.tcp_mem = ",
	} {
		if !strings.Contains(s, want) {
			t.Errorf("no %q in\n%s", want, s)
		}
	}
	for key := range map[string]bool{"fs.nr_open": true, "net.ipv4.tcp_mem": true, "net.netfilter.nf_conntrack_max": true} {
		if strings.Contains(s, "--sysctl "+key) || strings.Contains(s, "name: "+key) {
			t.Errorf("%s is given to a container, which cannot set it:\n%s", key, s)
		}
	}
}
