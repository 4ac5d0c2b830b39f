package terminal

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"clgrad/cmd/clgrad/text"
)

// A Line is what a display shows.
type Line struct {
	// Share of the work is done, from 0 to 1. It is drawn as a bar where there is room.
	// Less than 0 is unknown.
	Share float64
	Parts []Part
}

// A Part is a piece of a line. Where the terminal is too narrow, parts are shortened, and then
// left out, those with the greatest rank first. A part of rank 0 stays.
type Part struct {
	Long, Short string // Short may be empty, then there is no shorter form
	Rank        int
}

const (
	gap          = "  "
	mostBar      = 40
	leastBar     = 10
	signs        = `|/-\`
	filled, left = "█", "░"
)

// text returns the line in less than width columns: the last one stays free, because some
// terminals go on to the next line there. frame turns its sign.
func (l Line) text(width, frame int) string {
	room := width - 1
	line := signs[frame%len(signs):][:1]
	if l.Share >= 0 {
		share := min(1, l.Share)
		percent := fmt.Sprintf("%3.0f %%", 100*share)
		parts := fit(l.Parts, room-text.Width(line+gap+percent+gap))
		if bar := min(mostBar, room-text.Width(line+gap+percent+gap+parts)-1); bar >= leastBar {
			n := int(share * float64(bar))
			line += " " + strings.Repeat(filled, n) + strings.Repeat(left, bar-n)
		}
		return text.Cut(line+" "+percent+gap+parts, room)
	}
	return text.Cut(line+" "+fit(l.Parts, room-2), room)
}

// fit joins parts in the longest forms that have room.
func fit(parts []Part, room int) string {
	forms := make([]string, len(parts))
	ranked := make([]int, len(parts))
	for i, p := range parts {
		forms[i], ranked[i] = p.Long, i
	}
	slices.SortStableFunc(ranked, func(i, j int) int { return cmp.Compare(parts[j].Rank, parts[i].Rank) })
	join := func() string {
		return strings.Join(slices.DeleteFunc(slices.Clone(forms), func(s string) bool { return s == "" }), gap)
	}
	tooLong := func() bool { return text.Width(join()) > room }
	for _, i := range ranked {
		if tooLong() && parts[i].Short != "" {
			forms[i] = parts[i].Short
		}
	}
	for _, i := range ranked {
		if tooLong() && parts[i].Rank > 0 {
			forms[i] = ""
		}
	}
	return join()
}
