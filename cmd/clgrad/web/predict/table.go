package predict

import (
	"bytes"
	"context"
	"net/http"
	"regexp"
	"strings"

	"clgrad/network/dataset"
)

// otherFiles are the beginnings of what else dataset reads from a stream.
var otherFiles = []string{"\x1f\x8b", "PK", "\x93NUMPY"}

// readTable reads the rows of a CSV table, as clgrad predict --data does.
func (r *reader) readTable(ctx context.Context, body []byte, q *rows) error {
	for _, start := range otherFiles {
		if bytes.HasPrefix(body, []byte(start)) {
			return &requestError{http.StatusUnsupportedMediaType, "Unknown content", "The body is no text: CSV is expected, not compressed."}
		}
	}
	if n := bytes.Count(body, []byte{'\n'}) + bytes.Count(body, []byte{'\r'}); n > 2*r.most+2 {
		return r.tooMany()
	}
	o := r.table
	o.Input, o.Unlabelled = bytes.NewReader(body), true
	o.Log = func(line string) { q.notes = append(q.notes, text(line)) }
	set, err := dataset.Load(ctx, dataset.StandardInput, o)
	if err == nil {
		set, err = set.FillGaps()
	}
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		return unfit("%s", sentence(text(err.Error())))
	case set.Train.Features != r.features:
		return unfit("The table has %d features where %d are expected.", set.Train.Features, r.features)
	case set.LeftOut > 0:
		return unfit("%d rows have a value that is missing, and the network was trained without such rows: give all values.", set.LeftOut)
	case set.Train.Rows > r.most:
		return r.tooMany()
	}
	q.add(set.Train)
	if r.columns == nil { // what was taken off for the precision of float32 is not taken off by the model's scaling
		for i := range q.floats {
			q.floats[i] += float32(set.Columns.Offset(i % r.features))
		}
	}
	return nil
}

// hint is what a line of dataset says of its options, which are not the client's.
var hint = regexp.MustCompile(`(: | \(|, and )Reading\..*$`)

// text returns a line of dataset about the body, which it calls standard input. The line has a place in
// the table, or says what the table is or has.
func text(line string) string {
	line = strings.ReplaceAll(hint.ReplaceAllString(line, ""), dataset.InputName(dataset.StandardInput), "table")
	rest, ok := strings.CutPrefix(line, "table: ")
	switch {
	case !ok:
		return line
	case strings.HasPrefix(rest, "is ") || strings.HasPrefix(rest, "has "):
		return "the table " + rest
	}
	return rest
}
