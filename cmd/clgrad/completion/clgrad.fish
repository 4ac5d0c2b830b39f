# Completion of clgrad in fish. In config.fish: clgrad completion fish | source
function __clgrad_complete
    set -l words (commandline -opc)
    set -l current (commandline -ct)
    for reply in ($words[1] complete -- $words[2..-1] "$current" 2>/dev/null)
        switch $reply
            case :files
                __fish_complete_path "$current"
            case :folders
                __fish_complete_directories "$current"
            case '*'
                echo $reply
        end
    end
end
complete -c clgrad -f -a '(__clgrad_complete)'
