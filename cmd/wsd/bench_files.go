package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"wsd/bench/report"
)

// readReport reads a report that a run has written.
func readReport(file string) (*report.Report, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	r, err := report.Read(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return r, nil
}

// A report's files are written aside and renamed at the end: what they hold
// stays until there is something better, and a run that fails leaves nothing.

// writable finds out before a long run whether its files can be written.
func (c *benchOutput) writable() error {
	if c.JSON != "" && c.JSON == c.HTML {
		return fmt.Errorf("--json and --html are both %s: give each a file of its own", c.JSON)
	}
	for _, o := range []struct{ flag, file string }{{"--json", c.JSON}, {"--html", c.HTML}} {
		if o.file == "" {
			continue
		}
		if err := canWrite(o.file); err != nil {
			return fmt.Errorf("%s %s: %w", o.flag, o.file, err)
		}
	}
	return nil
}

func canWrite(file string) error {
	f, err := os.OpenFile(file, os.O_WRONLY, 0)
	if err == nil {
		return f.Close() // and a directory that others share may still refuse a new file: write falls back
	}
	if !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if f, err = createAside(file); err != nil {
		return err
	}
	return errors.Join(f.Close(), os.Remove(f.Name()))
}

// createAside makes a new file beside another, with the rights that a new file
// has here.
func createAside(file string) (*os.File, error) {
	dir, name := filepath.Split(file)
	return os.OpenFile(fmt.Sprintf("%s.%s.%d", dir, name, os.Getpid()), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
}

// write writes the files that were asked for.
func (c *benchOutput) write(r *report.Report) error {
	var errs []error
	if c.JSON != "" {
		errs = append(errs, writeAside(c.JSON, r.WriteJSON))
	}
	if c.HTML != "" {
		errs = append(errs, writeAside(c.HTML, r.WriteHTML))
	}
	return errors.Join(errs...)
}

// writeAside writes a file as a whole or not at all. What is no regular file, a
// pipe say, or lies where no other can be made, is written in place.
func writeAside(file string, write func(io.Writer) error) error {
	if target, err := filepath.EvalSymlinks(file); err == nil {
		file = target
	}
	info, statErr := os.Stat(file)
	if statErr == nil && !info.Mode().IsRegular() {
		return writeOver(file, write)
	}
	aside, err := createAside(file)
	switch {
	case err != nil && statErr == nil:
		return writeOver(file, write)
	case err != nil:
		return err
	}
	defer os.Remove(aside.Name()) // of no effect once it is renamed
	if statErr == nil {
		err = aside.Chmod(info.Mode().Perm())
	}
	if err = errors.Join(err, buffered(aside, write), aside.Close()); err != nil {
		return err
	}
	return os.Rename(aside.Name(), file)
}

func writeOver(file string, write func(io.Writer) error) error {
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_TRUNC, 0)
	if err != nil {
		return err
	}
	return errors.Join(buffered(f, write), f.Close())
}

func buffered(f *os.File, write func(io.Writer) error) error {
	w := bufio.NewWriter(f)
	return errors.Join(write(w), w.Flush())
}
