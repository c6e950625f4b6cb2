package host

import (
	"fmt"
	"math"
)

// descriptors adds what limits open files, and the epoll registrations that each
// of them needs.
func (p *planner) descriptors() {
	need := p.n.descriptors()
	p.hardLimit(need)
	p.softLimit(need)
	p.atLeast("fs.nr_open", need, Fail, "no process's descriptor limit can be set above it, not even by root")
	p.fileMax()
	if p.f.Systemd.Booted {
		p.unitLimit(need)
	}
	p.atLeast("fs.epoll.max_user_watches", p.n.sockets()+p.n.reserve(need), Fail, "one registration for each socket, for all processes of a user together")
}

func (p *planner) hardLimit(need int64) {
	l := p.f.NoFile
	it := Item{Name: "nofile hard", Now: limitText(l.Hard), Needed: limitText(need), Why: fmt.Sprintf("descriptors of the server: one a client and a reserve of %d", p.n.reserve(need))}
	if l.Hard == 0 {
		p.unseen(it)
		return
	}
	if l.Hard < need {
		it.Verdict, it.Do = Fail, p.f.doNoFile(need)
	}
	p.add(it)
}

// softLimit is satisfied by the hard one: the Go runtime raises the soft limit
// to it when the program starts.
func (p *planner) softLimit(need int64) {
	l := p.f.NoFile
	it := Item{Name: "nofile soft", Now: limitText(l.Soft), Needed: limitText(need), Why: "the limit in force; wsd raises it to the hard one by itself"}
	switch {
	case l.Hard == 0:
		p.unseen(it)
		return
	case l.Soft < need && l.Hard < need:
		it.Verdict, it.Do = Fail, "goes with the hard limit"
	}
	p.add(it)
}

// doNoFile: a limit belongs to a process and is inherited by what it starts, so
// that it is changed where wsd is started and not from within.
func (f Facts) doNoFile(need int64) string {
	switch f.Container {
	case "docker", "podman":
		return fmt.Sprintf("who starts the container gives --ulimit nofile=%d:%d", need, need)
	case "kubernetes":
		return fmt.Sprintf("the node's administrator sets LimitNOFILE=%d in the container runtime's unit: a pod cannot ask for it", need)
	case "lxc":
		return fmt.Sprintf("root of the host sets lxc.prlimit.nofile = %d for the container", need)
	}
	if f.Systemd.Booted {
		return fmt.Sprintf("root sets LimitNOFILE=%d in wsd's unit (`wsd tune print systemd`); in a shell, `ulimit -Hn %d` as root", need, need)
	}
	return fmt.Sprintf("root starts wsd with a higher limit: `prlimit --nofile=%d:%d wsd serve`, or `ulimit -Hn %d` in the shell before", need, need, need)
}

// fileMax counts all open files of the machine. Processes with CAP_SYS_ADMIN are
// exempt, but wsd should not be one.
func (p *planner) fileMax() {
	open, _ := p.f.one("fs.file-nr")
	need := p.n.sockets() + open + hostFiles
	why := "open files of the whole machine: clients, what is open now, and some"
	if p.f.Admin {
		why += "; this process is exempt (CAP_SYS_ADMIN), a service without rights is not"
	}
	p.atLeast("fs.file-max", need, Fail, why)
}

// unitLimit warns only: what counts is the limit of the running server, and a
// unit can have another name. But a machine that is right today and wrong after
// the next boot is worth a line.
func (p *planner) unitLimit(need int64) {
	u := p.f.Systemd
	it := Item{Name: "LimitNOFILE", Now: unitLimitText(u.Limit), Needed: limitText(need), Why: "what systemd gives wsd.service: "}
	switch {
	case u.File != "":
		it.Why += "set in " + u.File
	default:
		it.Why += "its built-in default, nothing is configured"
	}
	if u.Limit.Hard < need {
		it.Verdict = Warn
		it.Do = "root installs the drop-in that `wsd tune print systemd` writes; limits.conf does not apply to services"
	}
	p.add(it)
}

func unitLimitText(l Limit) string {
	if l.Soft == l.Hard {
		if l.Hard == math.MaxInt64 {
			return "infinity"
		}
		return limitText(l.Hard)
	}
	return limitText(l.Soft) + ":" + limitText(l.Hard)
}
