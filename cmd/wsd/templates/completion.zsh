#compdef wsd
# zsh completion for wsd, by `wsd completion zsh`.
_wsd() {
	local at=wsd word
	integer depth=0
	for word in "${(@)words[2,CURRENT-1]}"; do
		case "$at $word" in
{{- range .}}{{if .Path}}
		{{quote .Name}}) at={{quote .Name}}; (( depth++ )) ;;
{{- end}}{{end}}
		*) break ;;
		esac
	done
	# What follows sees the last command as the first word.
	words=("${(@)words[depth+1,-1]}")
	(( CURRENT -= depth ))
	case $at in
{{- range .}}
	{{quote .Name}})
		_arguments -S \
{{- range .Flags}}{{$f := .}}{{range .Names}}
			{{zshFlag $f .}} \
{{- end}}{{end}}
			{{zshRest .}}
		;;
{{- end}}
	esac
}
if [[ $funcstack[1] == _wsd ]]; then
	_wsd "$@"
else
	compdef _wsd wsd
fi
