#compdef clgrad
# Completion of clgrad in zsh. In ~/.zshrc, after compinit: source <(clgrad completion zsh)
_clgrad() {
    local reply
    local -a described
    for reply in "${(@f)$(${words[1]} complete -- "${(@)words[2,CURRENT]}" 2>/dev/null)}"; do
        case $reply in
            '') ;;
            :files) _files ;;
            :folders) _files -/ ;;
            *) described+=("${${reply%%$'\t'*}//:/\\:}:${reply#*$'\t'}") ;;
        esac
    done
    (( $#described )) && _describe -t values clgrad described
}
if [ "$funcstack[1]" = _clgrad ]; then
    _clgrad "$@"
else
    compdef _clgrad clgrad
fi
