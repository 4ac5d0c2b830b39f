package text

import (
	"fmt"
	"slices"
	"strings"
)

// Suggest returns `, did you mean "X"?` for the choice that is most like a word, "" where none is
// like it.
func Suggest(word string, choices ...string) string {
	if best := Nearest(word, choices...); best != "" {
		return fmt.Sprintf(", did you mean %q?", best)
	}
	return ""
}

// Nearest returns the choice that a word was probably meant to be: the one that it can be changed
// to with the fewest letters, if these are a third of it at most, or else one that begins with the
// word or that the word begins with. "" is none.
func Nearest(word string, choices ...string) (best string) {
	word = strings.ToLower(word)
	if len(word) > 40 {
		return ""
	}
	least := max(1, len([]rune(word))/3) + 1
	for _, c := range choices {
		if d := distance(word, strings.ToLower(c)); d < least {
			best, least = c, d
		}
	}
	if best != "" || len(word) < 2 {
		return best
	}
	i := slices.IndexFunc(choices, func(c string) bool {
		name := strings.Trim(strings.ToLower(c), "-")
		w := strings.Trim(word, "-")
		return len(name) > 1 && len(w) > 1 && (strings.HasPrefix(name, w) || strings.HasPrefix(w, name))
	})
	if i >= 0 {
		return choices[i]
	}
	return ""
}

// distance returns how many letters have to be put in, left out, exchanged for another or swapped
// with the next one to make a word another (optimal string alignment).
func distance(a, b string) int {
	x, y := []rune(a), []rune(b)
	before, last := []int(nil), make([]int, len(y)+1)
	for j := range last {
		last[j] = j
	}
	for i := range x {
		row := make([]int, len(y)+1)
		row[0] = i + 1
		for j := range y {
			exchange := last[j]
			if x[i] != y[j] {
				exchange++
			}
			row[j+1] = min(last[j+1]+1, row[j]+1, exchange)
			if i > 0 && j > 0 && x[i] == y[j-1] && x[i-1] == y[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
		before, last = last, row
	}
	return last[len(y)]
}
