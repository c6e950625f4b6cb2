# bash completion for wsd, by `wsd completion bash`.
_wsd() {
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} at=wsd offer='' i
	# The = between a flag and its value is a word of its own.
	if [[ $cur == '=' ]]; then
		cur=''
	elif [[ $prev == '=' ]]; then
		prev=${COMP_WORDS[COMP_CWORD - 2]}
	fi
	for ((i = 1; i < COMP_CWORD; i++)); do
		case "$at ${COMP_WORDS[i]}" in
{{- range .}}{{if .Path}}
		{{quote .Name}}) at={{quote .Name}} ;;
{{- end}}{{end}}
		esac
	done
	case "$at $prev" in
{{- range .}}{{$name := .Name}}{{range .Flags}}{{if .Takes}}
	{{range $i, $n := .Names}}{{if $i}} | {{end}}{{quote (print $name " " $n)}}{{end}})
		{{- if .Values}} offer={{quote (join .Values " ")}}
		{{- else if .File}}
		compopt -o filenames 2>/dev/null
		mapfile -t COMPREPLY < <(compgen -f -- "$cur")
		return
		{{- else}} return
		{{- end}} ;;
{{- end}}{{end}}{{end}}
	*)
		case $at in
{{- range .}}
		{{quote .Name}}) offer='{{range .Commands}}{{.Name}} {{end}}{{range .Args}}{{.}} {{end}}{{range .Flags}}{{range .Names}}{{.}} {{end}}{{end}}' ;;
{{- end}}
		esac
		;;
	esac
	mapfile -t COMPREPLY < <(compgen -W "$offer" -- "$cur")
}
complete -F _wsd wsd
