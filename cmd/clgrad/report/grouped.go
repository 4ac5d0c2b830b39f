package report

// MostOfGroup is how many lines of a group of [Grouped] have colours of their own.
var MostOfGroup = len(colours)

// Grouped returns the lines of a panel so that all of a group have one kind of dash, and the
// k-th of each group have one colour: as the sets of several runs. There are at most
// MostOfGroup lines in a group, and MaxLines in all.
func Grouped(groups ...[]Line) (all []Line) {
	for _, g := range groups {
		all = append(all, g...)
		all = append(all, make([]Line, max(0, MostOfGroup-len(g)))...) // lines without points are not drawn
	}
	return all
}
