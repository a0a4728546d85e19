// Package nearest finds what somebody meant who mistyped a name.
//
// It owns how far a mistyped word may be from what was meant. It knows no names.
package nearest

import "strings"

// To returns the name that is nearest to a mistyped word, or "" if none is near: two letters added, left out, changed or
// swapped, and no more than a third of a short word.
func To(word string, names []string) string {
	word = strings.ToLower(word)
	best, far := "", min(2, len([]rune(word))/3)+1
	for _, name := range names {
		if d := distance([]rune(word), []rune(strings.ToLower(name))); d < far {
			best, far = name, d
		}
	}
	return best
}

// distance is how many letters must be added, left out, changed or swapped with the next one.
func distance(a, b []rune) int {
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := range a {
		row[0] = i + 1
		for j := range b {
			change := last[j]
			if a[i] != b[j] {
				change++
			}
			row[j+1] = min(change, last[j+1]+1, row[j]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}
