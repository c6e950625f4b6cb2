package check

import (
	"bytes"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/linter"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
)

// stages are those of the Dockerfile, as BuildKit reads it: no error, no
// warning, no rule of its linter.
func stages(t *testing.T) []instructions.Stage {
	t.Helper()
	text, err := os.ReadFile("../Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	tree, err := parser.Parse(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range tree.Warnings {
		t.Errorf("Dockerfile: %s %s", w.Short, w.Detail)
	}
	lint := linter.New(&linter.Config{Warn: func(rule, about, _, message string, at []parser.Range) {
		t.Errorf("Dockerfile:%d: %s: %s (%s)", at[0].Start.Line, rule, message, about)
	}})
	all, _, err := instructions.Parse(tree.AST, lint)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// of are the instructions of one kind.
func of[C instructions.Command](s instructions.Stage) (all []C) {
	for _, c := range s.Commands {
		if c, ok := c.(C); ok {
			all = append(all, c)
		}
	}
	return all
}

// The image is the static program alone, run without rights, checked by itself.
func TestImage(t *testing.T) {
	all := stages(t)
	if len(all) != 2 {
		t.Fatalf("%d stages, want one that builds and one that is the image", len(all))
	}
	builds, image := all[0], all[1]
	if run := of[*instructions.RunCommand](builds); !slices.ContainsFunc(run, func(r *instructions.RunCommand) bool {
		return strings.Contains(strings.Join(r.CmdLine, " "), "CGO_ENABLED=0")
	}) {
		t.Error("the program is not built without cgo, and would look for libraries that are not there")
	}
	if image.BaseName != "scratch" {
		t.Errorf("the image is made from %q", image.BaseName)
	}
	if run := of[*instructions.RunCommand](image); len(run) > 0 {
		t.Errorf("nothing can run in the image but wsd, and no shell: %v", run[0].CmdLine)
	}
	user := of[*instructions.UserCommand](image)
	if len(user) != 1 || strings.HasPrefix(user[0].User, "0") || !strings.Contains(user[0].User, ":") ||
		strings.ContainsFunc(user[0].User, func(r rune) bool { return r != ':' && (r < '0' || r > '9') }) {
		t.Errorf("user %v: want numbers, as there is no /etc/passwd, and not 0", user)
	}
	health := of[*instructions.HealthCheckCommand](image)
	if len(health) != 1 || !slices.Equal(health[0].Health.Test, []string{"CMD", "/wsd", "health"}) {
		t.Errorf("health check: %v", health)
	}
	entry, args := of[*instructions.EntrypointCommand](image), of[*instructions.CmdCommand](image)
	if len(entry) != 1 || entry[0].PrependShell || len(args) != 1 || args[0].PrependShell {
		t.Error("ENTRYPOINT and CMD have to be JSON lists: there is no shell in the image")
	}
}
