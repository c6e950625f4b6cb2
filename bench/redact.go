package bench

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"

	"wsd/bench/report"
)

// redacted stands in reports for what is nobody's business.
const redacted = "[redacted]"

// harmless are the fields whose values a reader may see.
var harmless = []string{"Host", "Origin", "User-Agent", "Accept", "Accept-Language", "Content-Type", "Cache-Control"}

// Secrets are known by where they stand: behind the word for a scheme, as a
// password or a parameter of a URL, or by their form, of a JSON Web Token.
var secrets = []*regexp.Regexp{
	regexp.MustCompile(`(?i)(\b(?:bearer|basic|digest|token)\s+)[^@\s"'][^\s"']*`),
	regexp.MustCompile(`(://[^/?#@\s:]*:)[^/?#@\s]+(?:@)`),
	regexp.MustCompile(`(?i)([?&;][^=&#\s]*(?:token|key|secret|password|passwd|auth|jwt|sig|signature|credential|ticket)[^=&#\s]*=)[^&#\s"']+`),
	regexp.MustCompile(`()\beyJ[\w-]+\.[\w-]+\.[\w-]*`),
}

// redact takes the secrets out of a text.
func redact(text string) string {
	for i, s := range secrets {
		with := "${1}" + redacted
		if i == 1 {
			with += "@"
		}
		text = s.ReplaceAllString(text, with)
	}
	return text
}

// redactField leaves of a header field its name, its scheme and the file that
// its value is from.
func redactField(line string) string {
	name, value, ok := strings.Cut(line, ":")
	if !ok {
		return redacted
	}
	value = strings.TrimSpace(value)
	last := value[strings.LastIndexByte(value, ' ')+1:]
	if strings.HasPrefix(last, "@") || slices.ContainsFunc(harmless, func(h string) bool { return strings.EqualFold(h, name) }) {
		return line
	}
	if scheme, _, ok := strings.Cut(value, " "); ok && isToken(scheme) && strings.EqualFold(name, "Authorization") {
		return name + ": " + scheme + " " + redacted
	}
	return name + ": " + redacted
}

func redactAll(texts []string, by func(string) string) []string {
	out := slices.Clone(texts)
	for i := range out {
		out[i] = by(out[i])
	}
	return out
}

// planText is the plan as a report has it.
func (p *Plan) planText() (out report.Plan, err error) {
	text, err := json.Marshal(p.shown())
	if err == nil {
		err = out.UnmarshalJSON(text)
	}
	return out, err
}

// shown is the plan without its secrets.
func (p *Plan) shown() Plan {
	out := *p
	out.Targets, out.Publish, out.Metrics = redactAll(p.Targets, redact), redactAll(p.Publish, redact), redactAll(p.Metrics, redact)
	out.Header, out.PublishHeader = redactAll(p.Header, redactField), redactAll(p.PublishHeader, redactField)
	out.PublishCommand, out.First = redact(p.PublishCommand), redact(p.First)
	out.Phases = slices.Clone(p.Phases)
	for i := range out.Phases {
		out.Phases[i].Payload = redact(p.Phases[i].Payload)
	}
	return out
}

// shownCommand is a command line as a report has it.
func shownCommand(args []string) []string {
	out := redactAll(args, redact)
	for i, arg := range args {
		name, value, inOne := strings.Cut(arg, "=")
		if name != "--header" && name != "--publish-header" {
			continue
		}
		if inOne {
			out[i] = name + "=" + redactField(value)
		} else if i+1 < len(args) {
			out[i+1] = redactField(args[i+1])
		}
	}
	return out
}
