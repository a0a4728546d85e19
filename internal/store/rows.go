package store

import "strings"

// manyRows is one statement for different numbers of rows. One statement for many rows takes a fraction of the time
// of one for each, and one round trip to the server.
type manyRows struct {
	columns int
	texts   [len(rowsAtOnce)]string
}

// rowsAtOnce are the numbers of rows there are statements for. A few statements add up to any number, and few
// statements stay prepared.
var rowsAtOnce = [...]int{256, 64, 8, 1}

// forMany makes the statements from a text before the rows, one row's with a ? for each value, and a text after. The
// values have no numbers, because SQLite takes $1 for a name and looks for the name of each value in a list of all.
func forMany(before, row, after string) *manyRows { return forManyBetween(", ", before, row, after) }

// forManyBetween separates the rows by another text than a comma.
func forManyBetween(between, before, row, after string) *manyRows {
	m := &manyRows{columns: strings.Count(row, "?")}
	for i, n := range rowsAtOnce {
		m.texts[i] = before + strings.Repeat(between+row, n)[len(between):] + after
	}
	return m
}

// each calls f with the statements for n rows. args appends a row's values.
func (m *manyRows) each(n int, args func(to []any, row int) []any, f func(q string, args []any) error) error {
	list := make([]any, 0, min(n, rowsAtOnce[0])*m.columns)
	for row, i := 0, 0; row < n; {
		if n-row < rowsAtOnce[i] {
			i++
			continue
		}
		list = list[:0]
		for end := row + rowsAtOnce[i]; row < end; row++ {
			list = args(list, row)
		}
		if err := f(m.texts[i], list); err != nil {
			return err
		}
	}
	return nil
}

func (m *manyRows) exec(t *tx, n int, args func(to []any, row int) []any) error {
	return m.each(n, args, func(q string, args []any) error {
		_, err := t.exec(q, args...)
		return err
	})
}
