// Package library has only a test: docs/library.md, done as printed by somebody
// who has nothing but Go, git and curl, in a folder outside of this repository.
package library
