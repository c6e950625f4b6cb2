package host

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// state is what Apply changed and Revert can undo. It is written before the
// change that it describes, so that a crash in between loses nothing.
type state struct {
	Version int     `json:"version"`
	Boot    string  `json:"boot"` // of the kernel that was changed: settings do not outlive it
	Changed []saved `json:"changed"`
}

// saved is one setting: what was there first, and all that was set since, by
// which Revert recognises its own. All and not only the last, because a crash
// may come between recording a value and setting it.
type saved struct {
	Key    string   `json:"key"`
	Path   string   `json:"path"`
	Before string   `json:"before"`
	Set    []string `json:"set"`
}

const stateVersion = 1

// loadState reads the file; none is an empty state.
func loadState(file string) (state, error) {
	s := state{Version: stateVersion}
	b, err := readTrusted(file)
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err != nil {
		return s, err
	}
	if err := json.Unmarshal(b, &s); err != nil {
		return s, fmt.Errorf("state file %s cannot be read: %w", file, err)
	}
	if s.Version != stateVersion {
		return s, fmt.Errorf("state file %s has version %d, this program writes %d: use the program that wrote it", file, s.Version, stateVersion)
	}
	for _, c := range s.Changed {
		if !settable(c.Key, c.Path) {
			return s, fmt.Errorf("state file %s names %q at %q, which is no kernel setting that apply changes", file, c.Key, c.Path)
		}
	}
	return s, nil
}

// save replaces the file in one step, or removes it when there is nothing left
// to undo.
func (s state) save(file string) error {
	if len(s.Changed) == 0 {
		if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	}
	b, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	t, err := os.CreateTemp(filepath.Dir(file), filepath.Base(file)+".*")
	if err != nil {
		return err
	}
	defer os.Remove(t.Name()) // fails, as it should, once it has been renamed
	if _, err := t.Write(append(b, '\n')); err != nil {
		t.Close()
		return err
	}
	if err := errors.Join(t.Sync(), t.Close()); err != nil {
		return err
	}
	return os.Rename(t.Name(), file)
}

// note records a change that is about to be made. What was there before the
// first of several changes is what will be restored.
func (s *state) note(set *Setting, before, after string) {
	for i := range s.Changed {
		if s.Changed[i].Path == set.Path {
			s.Changed[i].Set = append(slices.Clip(s.Changed[i].Set), after)
			return
		}
	}
	s.Changed = append(s.Changed, saved{Key: set.Key, Path: set.Path, Before: before, Set: []string{after}})
}

// bootID tells one run of the kernel from the next.
func bootID(root string) string {
	id, _ := tree{os.DirFS(root)}.text("proc/sys/kernel/random/boot_id")
	return id
}
