package host

import "slices"

// Revert restores what Apply changed, the last change first, and forgets it. A
// value that is no longer the one that Apply set has been changed by somebody
// else since: it is left alone, told, and forgotten. What cannot be written
// stays in the state file for another try. With dryRun nothing is written.
//
// The state of an earlier boot is only forgotten: those values are gone.
func Revert(root, stateFile string, dryRun bool) ([]Change, error) {
	st, err := loadState(stateFile)
	if err != nil {
		return nil, err
	}
	if st.Boot != bootID(root) {
		return earlierBoot(st, stateFile, dryRun)
	}
	var out []Change
	var left []saved
	for _, s := range slices.Backward(st.Changed) {
		c, keep := revertOne(root, s, dryRun)
		if keep {
			left = append(left, s)
		}
		out = append(out, c)
	}
	if dryRun {
		return out, nil
	}
	slices.Reverse(left)
	st.Changed = left
	return out, st.save(stateFile)
}

func earlierBoot(st state, stateFile string, dryRun bool) ([]Change, error) {
	var out []Change
	for _, s := range st.Changed {
		out = append(out, Change{Key: s.Key, Before: s.last(), After: s.last(), Note: "set before the last boot, which undid it"})
	}
	if dryRun {
		return out, nil
	}
	st.Changed = nil
	return out, st.save(stateFile)
}

// revertOne says with keep that the change has not been undone and should be.
func revertOne(root string, s saved, dryRun bool) (c Change, keep bool) {
	set := &Setting{Key: s.Key, Path: s.Path}
	if s.Path == thpPath {
		set.Choice = s.Before
	}
	now, err := readSetting(root, set)
	if err != nil {
		return Change{Key: s.Key, Before: s.last(), After: s.last(), Failed: true, Note: err.Error()}, true
	}
	c = Change{Key: s.Key, Before: now, After: s.Before}
	switch {
	case now == s.Before:
		return c, false
	case !slices.Contains(s.Set, now):
		c.After, c.Note = now, "changed by somebody else since it was set to "+s.last()
		return c, false
	case dryRun:
		return c, true
	}
	if err := writeSetting(root, s.Path, s.Before); err != nil {
		c.After, c.Failed, c.Note = now, true, "refused: "+err.Error()
		return c, true
	}
	c.Done = true
	if got, err := readSetting(root, set); err == nil {
		c.After = got
	}
	return c, false
}

// last is the value that was set last. A state file is only written with one.
func (s saved) last() string {
	if len(s.Set) == 0 {
		return ""
	}
	return s.Set[len(s.Set)-1]
}
