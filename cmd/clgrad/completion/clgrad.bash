# Completion of clgrad in bash. In ~/.bashrc: source <(clgrad completion bash)
_clgrad() {
    local line=${COMP_LINE:0:COMP_POINT} words word breaks head= reply
    read -ra words <<<"$line"
    [[ $line == *[[:space:]] ]] && words+=("")
    word=${words[${#words[@]}-1]}
    # Readline breaks words at = and :, and replaces only what stands behind the last one.
    breaks=${COMP_WORDBREAKS//[^=:]/}
    [[ $breaks && $word == *["$breaks"]* ]] && head=${word%"${word##*["$breaks"]}"}
    COMPREPLY=()
    while IFS= read -r reply; do
        case $reply in
            :files | :folders)
                compopt -o filenames 2>/dev/null
                local path=f
                [[ $reply == :folders ]] && path=d
                while IFS= read -r reply; do COMPREPLY+=("$reply"); done < <(compgen -$path -- "${word#"$head"}")
                ;;
            *)
                reply=${reply%%$'\t'*}
                COMPREPLY+=("${reply#"$head"}")
                ;;
        esac
    done < <("${words[0]}" complete -- "${words[@]:1}" 2>/dev/null)
}
complete -F _clgrad clgrad
