# fish completion for wsd, by `wsd completion fish`.
function __wsd_at
	set -l at wsd
	for word in (commandline -opc)[2..-1]
		switch "$at $word"
{{- range .}}{{if .Path}}
			case {{quote .Name}}
				set at {{quote .Name}}
{{- end}}{{end}}
		end
	end
	test "$at" = "$argv"
end
complete -c wsd -f
{{- range .}}{{$at := quote (print "__wsd_at " .Name)}}
{{- range .Commands}}
complete -c wsd -n {{$at}} -a {{.Name}} -d {{fish .Help}}
{{- end}}
{{- range .Args}}
complete -c wsd -n {{$at}} -a {{.}}
{{- end}}
{{- range .Flags}}{{$f := .}}{{range .Names}}
complete -c wsd -n {{$at}} -l {{bare .}} -d {{fish $f.Help}}
{{- if $f.Values}} -x -a {{quote (join $f.Values " ")}}{{else if $f.File}} -r -F{{else if $f.Takes}} -x{{end}}
{{- end}}{{end}}
{{- end}}
