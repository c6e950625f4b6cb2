package host

import (
	"io/fs"
	"path"
	"sort"
	"strings"
)

// UnitLimit is the descriptor limit that systemd would give wsd.service.
type UnitLimit struct {
	Booted bool   // systemd runs this machine
	Unit   bool   // there is a wsd.service
	File   string // where the limit is set, "" when it is systemd's own default
	Limit  Limit
}

// systemdDefault is LimitNOFILE where nothing is said, from systemd 240 on.
// Before that it was 1024:4096, which is no better.
var systemdDefault = Limit{1024, 524288}

// unitDirs go from the least to the most important: a later setting wins.
var unitDirs = [...]string{"lib/systemd/system", "usr/lib/systemd/system", "run/systemd/system", "etc/systemd/system"}

// readUnitLimit follows systemd's own order: built in, manager defaults, unit,
// drop-ins.
func readUnitLimit(t tree) UnitLimit {
	u := UnitLimit{Booted: t.exists("run/systemd/system"), Limit: systemdDefault}
	if !u.Booted {
		return u
	}
	u.read(t, "etc/systemd/system.conf", "DefaultLimitNOFILE")
	for _, file := range dropIns(t, "usr/lib/systemd/system.conf.d", "run/systemd/system.conf.d", "etc/systemd/system.conf.d") {
		u.read(t, file, "DefaultLimitNOFILE")
	}
	unit := ""
	var dirs []string
	for _, dir := range unitDirs {
		if file := path.Join(dir, "wsd.service"); t.exists(file) {
			unit = file
		}
		dirs = append(dirs, path.Join(dir, "wsd.service.d"))
	}
	if u.Unit = unit != ""; u.Unit {
		u.read(t, unit, "LimitNOFILE")
	}
	for _, file := range dropIns(t, dirs...) {
		u.read(t, file, "LimitNOFILE")
	}
	return u
}

// dropIns lists the *.conf files of the directories in the order in which they
// count: by file name, whatever the directory; of two with the same name only
// the one of the later directory.
func dropIns(t tree, dirs ...string) []string {
	byName := map[string]string{}
	for _, dir := range dirs {
		files, _ := fs.Glob(t.FS, path.Join(dir, "*.conf"))
		for _, file := range files {
			byName[path.Base(file)] = file
		}
	}
	names := make([]string, 0, len(byName))
	for name := range byName {
		names = append(names, name)
	}
	sort.Strings(names)
	for i, name := range names {
		names[i] = byName[name]
	}
	return names
}

// read takes the last assignment of key in an ini file, if there is one.
func (u *UnitLimit) read(t tree, file, key string) {
	for _, line := range t.lines(file) {
		k, v, ok := strings.Cut(strings.TrimSpace(line), "=")
		if !ok || strings.TrimSpace(k) != key {
			continue
		}
		if l, ok := parseUnitLimit(strings.TrimSpace(v)); ok {
			u.File, u.Limit = "/"+file, l
		}
	}
}

// parseUnitLimit reads "N", "SOFT:HARD" or "infinity".
func parseUnitLimit(s string) (Limit, bool) {
	soft, hard, two := strings.Cut(s, ":")
	if !two {
		hard = soft
	}
	a, okSoft := parseNumber(soft)
	b, okHard := parseNumber(hard)
	return Limit{a, b}, okSoft && okHard && a <= b
}
