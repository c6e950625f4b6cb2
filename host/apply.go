package host

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Change is what became of one setting.
type Change struct {
	Key    string `json:"key"`
	Before string `json:"before"`
	After  string `json:"after"`          // what is there now; with a dry run, what would be
	Done   bool   `json:"done"`           // false for a dry run and for what was left alone
	Failed bool   `json:"failed"`         // it should have been changed and was not
	Note   string `json:"note,omitempty"` // why it was left alone or came out otherwise, and who can help
}

func (c Change) String() string {
	s := fmt.Sprintf("%s: %s -> %s", c.Key, c.Before, c.After)
	if c.Before == c.After {
		s = fmt.Sprintf("%s: %s, left as it is", c.Key, c.Before)
	}
	if c.Note != "" {
		s += " (" + c.Note + ")"
	}
	return s
}

// Apply sets what the items want and can be set while the machine runs. It never
// lowers a value: what is there is read again and merged with what is wanted.
// Items that warn or fail for something that cannot be set are returned as
// changes that were not made, with who can.
//
// The old values are kept in stateFile, written before each change, until Revert
// restores them; several calls keep the values that were there before the first.
// One call at a time: nothing locks the file. With dryRun nothing is written at
// all. The error is for a state file that cannot be read or written, and stops
// before the change it would have recorded.
func Apply(root, stateFile string, items []Item, dryRun bool) ([]Change, error) {
	st, err := currentState(root, stateFile)
	if err != nil {
		return nil, err
	}
	var out []Change
	for _, it := range items {
		switch {
		case it.Verdict == OK || it.Verdict == Unknown:
		case it.Setting == nil:
			out = append(out, Change{Key: it.Name, Before: it.Now, After: it.Now, Note: it.Do})
		default:
			c, err := applyOne(root, stateFile, &st, it, dryRun)
			if err != nil {
				return out, err
			}
			out = append(out, c)
		}
	}
	return out, nil
}

// currentState forgets what was changed under an earlier boot: the kernel began
// anew with its own values.
func currentState(root, file string) (state, error) {
	st, err := loadState(file)
	if err != nil {
		return st, err
	}
	if boot := bootID(root); st.Boot != boot {
		st = state{Version: stateVersion, Boot: boot}
	}
	return st, nil
}

func applyOne(root, stateFile string, st *state, it Item, dryRun bool) (Change, error) {
	s := it.Setting
	before, err := readSetting(root, s)
	if err != nil {
		return refused(it, it.Now, err), nil
	}
	c := Change{Key: s.Key, Before: before, After: s.merge(before)}
	if c.After == c.Before {
		return c, nil
	}
	// Opening for writing changes nothing, and tells already who may not.
	if err := writeSetting(root, s.Path, ""); err != nil {
		return refused(it, before, err), nil
	}
	if dryRun {
		return c, nil
	}
	undo := slices.Clone(st.Changed)
	st.note(s, before, c.After)
	if err := st.save(stateFile); err != nil {
		return c, fmt.Errorf("old value of %s not recorded, so nothing was set: %w", s.Key, err)
	}
	wanted := c.After
	if err := writeSetting(root, s.Path, wanted); err != nil {
		st.Changed = undo
		return refused(it, before, err), st.save(stateFile)
	}
	c.Done = true
	if now, err := readSetting(root, s); err == nil && now != wanted {
		// The kernel may round. What is there is what Revert has to recognise.
		c.After, c.Note = now, "the kernel made this of "+wanted
		st.note(s, before, now)
		return c, st.save(stateFile)
	}
	return c, nil
}

// refused is a change that could not be made, with why and who can.
func refused(it Item, now string, err error) Change {
	c := Change{Key: it.Setting.Key, Before: now, After: now, Failed: true, Note: "refused: " + err.Error()}
	if it.Do != "" {
		c.Note += "; " + it.Do
	}
	return c
}

func readSetting(root string, s *Setting) (string, error) {
	b, err := os.ReadFile(filepath.Join(root, s.Path))
	if err != nil {
		return "", err
	}
	return s.current(strings.TrimSpace(string(b))), nil
}

// writeSetting writes in one call, as the kernel wants it, and never creates. An
// empty value is not written: only the right to write is tried.
func writeSetting(root, path, value string) error {
	flags := os.O_WRONLY
	if value != "" {
		flags |= os.O_TRUNC // nothing to a kernel file, and what a recorded one needs
	}
	f, err := os.OpenFile(filepath.Join(root, path), flags, 0)
	if err != nil {
		return err
	}
	if value != "" {
		_, err = f.WriteString(value + "\n")
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return err
}
