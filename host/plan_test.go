package host

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

// TestVerdicts holds the advice on the recorded hosts: everything that is not ok.
func TestVerdicts(t *testing.T) {
	million := Needs{Clients: 1_000_000}
	for _, c := range []struct {
		host string
		n    Needs
		max  int
		by   string
		want map[string]Verdict
	}{
		{"vm-6.18", million, 19_375, "nofile hard", map[string]Verdict{
			"nofile hard": Fail, "nofile soft": Fail, "net.ipv4.tcp_mem": Fail, "net.netfilter.nf_conntrack_max": Warn, "net.core.somaxconn": Warn,
			"net.ipv4.tcp_max_syn_backlog": Warn, "net.core.netdev_max_backlog": Warn, "net.ipv4.tcp_max_orphans": Warn,
		}},
		{"vm-6.18", Needs{Clients: 10_000}, 19_375, "nofile hard", map[string]Verdict{}},
		{"container", million, 523_264, "nofile hard", map[string]Verdict{
			"nofile hard": Fail, "nofile soft": Fail, "net.ipv4.tcp_mem": Unknown, "net.core.netdev_max_backlog": Unknown, "net.ipv4.tcp_max_orphans": Unknown,
			"net.netfilter.nf_conntrack_max": Unknown, "net.core.somaxconn": Warn, "net.ipv4.tcp_max_syn_backlog": Warn,
		}},
		{"container", Needs{Clients: 500_000, MessageBytes: 64 << 10}, 119_209, "cgroup memory", map[string]Verdict{
			"memory": Fail, "cgroup memory": Fail, "net.ipv4.tcp_mem": Unknown, "net.core.netdev_max_backlog": Unknown, "net.ipv4.tcp_max_orphans": Unknown,
			"net.netfilter.nf_conntrack_max": Unknown, "net.core.somaxconn": Warn, "net.ipv4.tcp_max_syn_backlog": Warn,
		}},
		{"conntrack-full", Needs{Clients: 100_000}, 0, "net.netfilter.nf_conntrack_max", map[string]Verdict{
			"net.netfilter.nf_conntrack_max": Fail, "net.netfilter.nf_conntrack_tcp_timeout_established": Warn, "net.core.netdev_max_backlog": Warn,
		}},
		{"netns-conntrack-full", Needs{Clients: 1000}, 0, "net.netfilter.nf_conntrack_max", map[string]Verdict{
			"net.netfilter.nf_conntrack_max": Fail, "net.netfilter.nf_conntrack_tcp_timeout_established": Warn,
			"net.ipv4.tcp_mem": Unknown, "net.core.netdev_max_backlog": Unknown, "net.ipv4.tcp_max_orphans": Unknown,
		}},
		{"centos7-3.10", Needs{Clients: 50_000}, 3968, "nofile hard", map[string]Verdict{
			"nofile hard": Fail, "nofile soft": Fail, "transparent_hugepage": Warn, "net.netfilter.nf_conntrack_tcp_timeout_established": Warn, "net.core.netdev_max_backlog": Warn,
			"net.ipv4.tcp_max_orphans": Warn, "net.ipv4.tcp_max_syn_backlog": OK,
		}},
		{"centos7-3.10", Needs{Clients: 3000, LoadGenerator: true}, 3968, "nofile hard", map[string]Verdict{
			"transparent_hugepage": Warn, "net.netfilter.nf_conntrack_tcp_timeout_established": Warn, "net.ipv4.tcp_tw_reuse": Warn,
		}},
	} {
		f := facts(t, c.host)
		items := Plan(f, c.n)
		for _, it := range items {
			if it.Verdict != c.want[it.Name] {
				t.Errorf("%s, %d clients: %s is %s (now %s, needed %s), want %s", c.host, c.n.Clients, it.Name, it.Verdict, it.Now, it.Needed, c.want[it.Name])
			}
			if problem := it.Verdict == Fail || it.Verdict == Warn; problem && it.Do == "" || it.Verdict == OK && it.Do != "" {
				t.Errorf("%s: %s is %s and says to do %q", c.host, it.Name, it.Verdict, it.Do)
			}
			if it.Why == "" || it.Now == "" || it.Needed == "" {
				t.Errorf("%s: incomplete item %+v", c.host, it)
			}
		}
		for name := range c.want {
			find(t, items, name)
		}
		if got, by := MaxClients(f, c.n); by != c.by || got != c.max {
			t.Errorf("%s: room for %d clients because of %q, want %d because of %q", c.host, got, by, c.max, c.by)
		}
	}
}

// TestWhoCan: advice names whoever can carry it out on that host.
func TestWhoCan(t *testing.T) {
	for _, c := range []struct{ host, item, want string }{
		{"vm-6.18", "nofile hard", "prlimit"},
		{"vm-6.18", "net.core.somaxconn", "`wsd tune apply` sets"},
		{"container", "nofile hard", "--ulimit nofile=1001024:1001024"},
		{"container", "net.core.somaxconn", "where the container is started"},
		{"container", "net.ipv4.tcp_mem", "on the host"},
		{"conntrack-full", "nofile hard", "LimitNOFILE=1001024"},
		{"conntrack-full", "net.core.somaxconn", "root runs"},
		{"conntrack-full", "net.netfilter.nf_conntrack_max", "NOTRACK"},
		{"centos7-3.10", "LimitNOFILE", "print systemd"},
	} {
		it := find(t, Plan(facts(t, c.host), Needs{Clients: 1_000_000}), c.item)
		if !strings.Contains(it.Do, c.want) {
			t.Errorf("%s, %s: %q does not say %q", c.host, c.item, it.Do, c.want)
		}
	}
	f := facts(t, "container")
	f.Sysctl["fs.file-max"] = []int64{1000}
	if it := find(t, Plan(f, Needs{Clients: 1000}), "fs.file-max"); !strings.Contains(it.Do, "root of the host") {
		t.Errorf("fs.file-max in a container: %q", it.Do)
	}
	for container, want := range map[string]string{"kubernetes": "a pod cannot", "lxc": "lxc.prlimit", "podman": "--ulimit"} {
		f.Container = container
		if it := find(t, Plan(f, Needs{Clients: 1_000_000}), "nofile hard"); !strings.Contains(it.Do, want) {
			t.Errorf("%s: %q does not say %q", container, it.Do, want)
		}
	}
}

// TestMistakesOfGuides: values that guides recommend and that do harm are told.
func TestMistakesOfGuides(t *testing.T) {
	for _, c := range []struct {
		key    string
		values []int64
		want   Verdict
	}{
		{"net.ipv4.tcp_rmem", []int64{4096, 131072, 6291456}, OK},
		{"net.ipv4.tcp_rmem", []int64{1024, 4096, 16777216}, OK},
		{"net.ipv4.tcp_rmem", []int64{8760, 256960, 4088000}, Warn},
		{"net.ipv4.tcp_rmem", []int64{8192, 8388608, 16777216}, Warn},
		{"net.ipv4.tcp_wmem", []int64{4096, 4194394, 16777216}, Warn},
		{"net.ipv4.tcp_abort_on_overflow", []int64{1}, Warn},
		{"net.ipv4.tcp_syncookies", []int64{0}, Warn},
		{"net.ipv4.tcp_syncookies", []int64{2}, OK},
		{"net.ipv4.tcp_mem", []int64{1 << 20, 1 << 21, 1 << 22}, OK},
		{"net.ipv4.tcp_mem", []int64{1 << 10, 1 << 10, 1 << 22}, Warn},
		{"net.ipv4.tcp_mem", []int64{1 << 10, 1 << 10, 1 << 11}, Fail},
		{"net.ipv4.tcp_mem", []int64{1}, Unknown},
		{"vm.swappiness", []int64{60}, OK},
	} {
		f := facts(t, "vm-6.18")
		f.Sysctl[c.key] = c.values
		name := c.key
		if name == "vm.swappiness" {
			name = "swap"
		}
		if it := find(t, Plan(f, Needs{Clients: 10_000}), name); it.Verdict != c.want {
			t.Errorf("%s = %v: %s, want %s", c.key, c.values, it.Verdict, c.want)
		}
	}
}

func TestConntrackTimes(t *testing.T) {
	f := facts(t, "conntrack-full")
	const key = "net.netfilter.nf_conntrack_tcp_timeout_established"
	for _, c := range []struct {
		now       int64
		heartbeat time.Duration
		want      Verdict
		sets      bool
	}{
		{432000, 0, Warn, false}, // to be lowered, and so not by us
		{86400, 0, OK, false},
		{600, 0, OK, false},
		{599, 0, Warn, true},
		{1800, 20 * time.Minute, Warn, true},
		{3600, 20 * time.Minute, OK, false},
		{86401, 10 * time.Hour, Warn, true},
	} {
		f.Sysctl[key] = []int64{c.now}
		it := find(t, Plan(f, Needs{Clients: 10, Heartbeat: c.heartbeat}), key)
		if it.Verdict != c.want || (it.Setting != nil) != c.sets {
			t.Errorf("%d s with a heartbeat each %s: %+v, want %s, settable %t", c.now, c.heartbeat, it, c.want, c.sets)
		}
	}
	delete(f.Sysctl, "net.netfilter.nf_conntrack_max")
	if it := find(t, Plan(f, Needs{Clients: 10}), "conntrack"); it.Verdict != OK {
		t.Errorf("conntrack not loaded: %+v", it)
	}
}

func TestSwapAndPorts(t *testing.T) {
	f := facts(t, "centos7-3.10")
	n := Needs{Clients: 100_000, LoadGenerator: true}
	if it := find(t, Plan(f, n), "swap"); it.Verdict != OK {
		t.Errorf("swap with swappiness 0: %+v", it)
	}
	f.Sysctl["vm.swappiness"] = []int64{60}
	if it := find(t, Plan(f, n), "swap"); it.Verdict != Warn {
		t.Errorf("swap with swappiness 60: %+v", it)
	}
	f.Cgroup.NoSwap = true
	if it := find(t, Plan(f, n), "swap"); it.Verdict != OK {
		t.Errorf("swap where the group has none: %+v", it)
	}
	ports := find(t, Plan(f, n), "net.ipv4.ip_local_port_range")
	if ports.Verdict != Warn || ports.Setting.merge("32768\t60999") != "10240 65535" || ports.Setting.merge("1024 60999") != "1024 65535" {
		t.Errorf("ports: %+v", ports)
	}
	f.Sysctl["net.ipv4.ip_local_port_range"] = []int64{1024, 65535}
	if it := find(t, Plan(f, n), "net.ipv4.ip_local_port_range"); it.Verdict != OK || it.Setting != nil {
		t.Errorf("a wide range is fine as it is: %+v", it)
	}
}

// TestNothingKnown: no fact at all is all unknown, and neither a panic nor a refusal.
func TestNothingKnown(t *testing.T) {
	items := Plan(Facts{}, Needs{Clients: 1_000_000, LoadGenerator: true})
	if !Fits(items) {
		t.Errorf("nothing is known, and does not fit: %+v", Problems(items))
	}
	unknown := 0
	for _, it := range items {
		if it.Verdict == Unknown {
			unknown++
		}
	}
	if unknown < len(items)/2 {
		t.Errorf("%d of %d items unknown", unknown, len(items))
	}
	if n, by := MaxClients(Facts{}, Needs{}); n != 100_000_000 || by != "" {
		t.Errorf("nothing known allows %d, by %q", n, by)
	}
}

// TestMaxClientsAgreesWithPlan: the search gives the largest number that fits,
// and more clients never fit where fewer did not.
func TestMaxClientsAgreesWithPlan(t *testing.T) {
	fits := func(f Facts, clients int) bool { return Fits(Plan(f, Needs{Clients: clients})) }
	for _, name := range fixtures {
		f := facts(t, name)
		most, _ := MaxClients(f, Needs{})
		if most > 0 && !fits(f, most) || fits(f, most+1) {
			t.Errorf("%s: %d is not the largest number that fits", name, most)
		}
		for range 300 {
			a, b := rand.IntN(2_000_000)+1, rand.IntN(2_000_000)+1
			if a > b {
				a, b = b, a
			}
			if !fits(f, a) && fits(f, b) {
				t.Errorf("%s: %d do not fit and %d do", name, a, b)
			}
		}
	}
}
