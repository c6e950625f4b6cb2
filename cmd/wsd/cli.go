package main

import (
	"fmt"
	"io"
	"reflect"
	"strings"

	"github.com/alecthomas/kong"
)

// cli is the command line.
type cli struct {
	Serve      serveCmd      `cmd:"" help:"Run the server."`
	Bench      benchCmd      `cmd:"" help:"Put load on a WebSocket server, ours or any other, and report."`
	Tune       tuneCmd       `cmd:"" help:"Compare this host with what a number of clients needs, and change it."`
	Upgrade    upgradeCmd    `cmd:"" help:"Have a running server hand its clients over to the program that is on disk now."`
	Health     healthCmd     `cmd:"" help:"Ask a running server whether it is well."`
	Completion completionCmd `cmd:"" help:"Print the completion of a shell, for its directory of completions."`
	Man        manCmd        `cmd:"" hidden:"" help:"Write the manual pages."`
	Version    versionCmd    `cmd:"" help:"Print the version of the program."`
}

const description = "A WebSocket server for very many clients on one Linux host."

// groups is the order of the help and of a printed configuration.
var groups = []kong.Group{
	{Key: "Listen", Title: "Listen"},
	{Key: "Admission", Title: "Admission"},
	{Key: "Limits", Title: "Limits"},
	{Key: "Slow consumers", Title: "Slow consumers"},
	{Key: "Timeouts", Title: "Timeouts"},
	{Key: "Actions", Title: "Actions"},
	{Key: "Identity", Title: "Identity"},
	{Key: "Stop", Title: "Stop"},
	{Key: "Log", Title: "Log"},
	{Key: "Admin", Title: "Admin"},
	{Key: "Cluster", Title: "Cluster"},
}

// joinNegative writes a flag that a negative number follows, which the parser
// takes for a short flag, as --flag=number: no short flag here is a digit. The
// flag then says what is wrong with the number.
func joinNegative(args []string) []string {
	var out []string
	for _, arg := range args {
		last := len(out) - 1
		negative := len(arg) > 1 && arg[0] == '-' && (arg[1] >= '0' && arg[1] <= '9' || arg[1] == '.')
		if negative && last >= 0 && len(out[last]) > 2 && strings.HasPrefix(out[last], "--") && !strings.Contains(out[last], "=") {
			out[last] += "=" + arg
			continue
		}
		out = append(out, arg)
	}
	return out
}

// diagnostics is standard error. Commands ask for it, and for standard output
// as io.Writer, by type.
type diagnostics io.Writer

// newParser returns the parser of the command line into c.
func newParser(c *cli, stdout, stderr io.Writer) (*kong.Kong, error) {
	return kong.New(c,
		kong.Name("wsd"),
		kong.Description(description),
		kong.Writers(stdout, stderr),
		kong.ExplicitGroups(groups),
		kong.DefaultEnvars("WSD"),
		kong.PostBuild(placeholders),
		kong.TypeMapper(reflect.TypeFor[[]string](), listMapper{}),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, NoExpandSubcommands: true, WrapUpperBound: 110}),
		kong.ValueFormatter(helpText),
		kong.BindTo(stdout, (*io.Writer)(nil)),
		kong.BindTo(stderr, (*diagnostics)(nil)),
	)
}

// placeholders gives the flags with a unit one in the help, by their type.
func placeholders(k *kong.Kong) error {
	return kong.Visit(k.Model.Node, func(n kong.Visitable, next kong.Next) error {
		if flag, ok := n.(*kong.Flag); ok && flag.PlaceHolder == "" && flag.Target.IsValid() {
			switch flag.Target.Interface().(type) {
			case count, rate:
				flag.PlaceHolder = "N"
			case size:
				flag.PlaceHolder = "SIZE"
			case span, *span:
				flag.PlaceHolder = "DURATION"
			case string:
				flag.PlaceHolder = strings.ToUpper(flag.Name)
			}
		}
		return next(nil)
	})
}

// helpText adds the default and the environment variable to a flag's help.
func helpText(value *kong.Value) string {
	text := value.Help
	if value.HasDefault {
		text += fmt.Sprintf(" [%s]", value.Default)
	}
	if len(value.Tag.Envs) > 0 {
		text += " $" + strings.Join(value.Tag.Envs, ", $")
	}
	return text
}
