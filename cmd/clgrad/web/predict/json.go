package predict

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"
)

// form is what a JSON body is expected to be.
const form = `{"row":[…]}, {"rows":[[…],…]} or {"records":[{"column":…},…]}, with "top" and "probabilities" beside it`

// decode reads a JSON body into q. Most bodies are rows of plain numbers, which scan reads fast. Where it meets
// anything else, the strict decoder reads all, and says what is wrong and where.
func (r *reader) decode(body []byte, q *rows) error {
	before := *q
	if r.scan(body, q) {
		return nil
	}
	*q = before
	return r.decodeStrictly(body, q)
}

// decodeStrictly reads a JSON body. Duplicate names, invalid UTF-8 and unknown members are errors.
func (r *reader) decodeStrictly(body []byte, q *rows) error {
	d := decoder{r, q, jsontext.NewDecoder(bytes.NewReader(body))}
	err := d.request()
	if _, ok := errors.AsType[*requestError](err); err == nil || ok {
		return err
	}
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		return malformed("The body ends within its JSON, after %d bytes.", len(body))
	}
	if at, ok := errors.AsType[*jsontext.SyntacticError](err); ok {
		return malformed("At byte %d: %v.", at.ByteOffset, at.Err)
	}
	return malformed("The body is no JSON: %v.", err)
}

// A decoder reads the tokens of one body.
type decoder struct {
	*reader
	q *rows
	*jsontext.Decoder
}

// open reads the beginning of an object or array.
func (d *decoder) open(begin jsontext.Kind, where, expected string) error {
	token, err := d.ReadToken()
	if err == nil && token.Kind() != begin {
		return malformed("%s: %s where %s is expected.", where, describe(token), expected)
	}
	return err
}

// member names a member of the body in messages.
func member(name string) string { return fmt.Sprintf("The member %q", name) }

// describe names a token in messages.
func describe(t jsontext.Token) string {
	switch t.Kind() {
	case '{':
		return "an object"
	case '[':
		return "an array"
	case '"':
		return fmt.Sprintf("the text %.40q", t.String())
	}
	return fmt.Sprintf("%.40s", t.String())
}

func (d *decoder) request() error {
	if err := d.open('{', "The body", form); err != nil {
		return err
	}
	given := ""
	for d.PeekKind() != '}' {
		token, err := d.ReadToken()
		if err != nil {
			return err
		}
		switch name := token.String(); name {
		case "row", "rows", "records":
			if given != "" {
				return malformed("Both %q and %q are given: one of them is expected.", given, name)
			}
			given = name
			err = d.content(name)
		case "top":
			err = d.top()
		case "probabilities":
			err = d.wanted()
		default:
			return malformed("The member %.40q is unknown: %s is expected.", name, form)
		}
		if err != nil {
			return err
		}
	}
	if _, err := d.ReadToken(); err != nil {
		return err
	}
	if _, err := d.ReadToken(); err != io.EOF {
		return malformed("At byte %d: more follows the request.", d.InputOffset())
	}
	if given == "" {
		return malformed("Rows are missing: %s is expected.", form)
	}
	if d.q.n == 0 {
		return malformed("%q has no rows: at least one is expected.", given)
	}
	return nil
}

// content reads the rows themselves.
func (d *decoder) content(name string) error {
	if name == "row" {
		return d.row("The row")
	}
	if name == "records" && d.places == nil {
		return unfit(`The model knows no names of columns: "rows" is expected, of %d features.`, d.features)
	}
	if err := d.open('[', member(name), "an array"); err != nil {
		return err
	}
	for d.PeekKind() != ']' {
		if d.q.n == d.most {
			return d.tooMany()
		}
		read, where := d.row, "Row"
		if name == "records" {
			read, where = d.record, "Record"
		}
		if err := read(fmt.Sprintf("%s %d", where, d.q.n+1)); err != nil {
			return err
		}
	}
	_, err := d.ReadToken()
	return err
}

// row reads an array of features.
func (d *decoder) row(where string) error {
	if err := d.open('[', where, "an array of numbers"); err != nil {
		return err
	}
	j := 0
	for ; d.PeekKind() != ']'; j++ {
		if j == d.features {
			if _, err := d.ReadToken(); err != nil { // what follows is no feature
				return err
			}
			return unfit("%s: there are more than %d features.", where, d.features)
		}
		v, err := d.feature(j, func() string { return fmt.Sprintf("%s, feature %d", where, j+1) })
		if err != nil {
			return err
		}
		d.q.floats = append(d.q.floats, v)
	}
	if _, err := d.ReadToken(); err != nil {
		return err
	}
	if j < d.features {
		return unfit("%s: there are %d features where %d are expected.", where, j, d.features)
	}
	d.q.n++
	return nil
}

// record reads an object of features by the names of their columns.
func (d *decoder) record(where string) error {
	if err := d.open('{', where, "an object of numbers"); err != nil {
		return err
	}
	begin, seen := len(d.q.floats), make([]bool, d.features)
	d.q.floats = append(d.q.floats, make([]float32, d.features)...)
	for d.PeekKind() != '}' {
		token, err := d.ReadToken()
		if err != nil {
			return err
		}
		name := token.String()
		j, known := d.places[name]
		switch {
		case !known:
			return unfit("%s: %.80q is no column of the training set.", where, name)
		case j < 0: // the label, or a column that was ignored
			if err := d.SkipValue(); err != nil {
				return err
			}
			continue
		}
		v, err := d.feature(j, func() string { return fmt.Sprintf("%s, column %.80q", where, name) })
		if err != nil {
			return err
		}
		d.q.floats[begin+j], seen[j] = v, true
	}
	if _, err := d.ReadToken(); err != nil {
		return err
	}
	for j, name := range d.columns.FeatureNames() {
		if !seen[j] {
			return unfit("%s: the column %.80q is missing.", where, name)
		}
	}
	d.q.n++
	return nil
}

// feature reads a number, a boolean as 1 or 0, or null for one that is missing.
func (d *decoder) feature(j int, where func() string) (float32, error) {
	token, err := d.ReadToken()
	if at, ok := errors.AsType[*jsontext.SyntacticError](err); ok {
		return 0, malformed("%s: at byte %d: %v.", where(), at.ByteOffset, at.Err)
	}
	if err != nil {
		return 0, err
	}
	var x float32
	switch token.Kind() {
	case '0':
		text := token.String()
		v, _ := strconv.ParseFloat(text, 64) // infinite where it is too large
		if x, err = d.value(v, j); err != nil {
			return 0, unfit("%s: %.40s is beyond the numbers of float32.", where(), text)
		}
	case 'n':
		if x, err = d.missing(j); err != nil {
			return 0, unfit("%s: null where %v.", where(), err)
		}
	case 't':
		x, err = d.value(1, j)
	case 'f':
		x, err = d.value(0, j)
	default:
		return 0, malformed("%s: %s where a number is expected.", where(), describe(token))
	}
	return x, err
}

// top reads how many of the most probable classes are wanted.
func (d *decoder) top() error {
	token, err := d.ReadToken()
	if err != nil {
		return err
	}
	n := -1
	if token.Kind() == '0' {
		if n, err = strconv.Atoi(token.String()); err != nil {
			n = -1
		}
	}
	if n < 0 || n > d.classes {
		return malformed("%s: %s where a whole number from 0 to %d is expected.", member("top"), describe(token), d.classes)
	}
	d.q.top = n
	return nil
}

// wanted reads whether all probabilities are wanted.
func (d *decoder) wanted() error {
	token, err := d.ReadToken()
	if err != nil {
		return err
	}
	if k := token.Kind(); k != 't' && k != 'f' {
		return malformed("%s: %s where true or false is expected.", member("probabilities"), describe(token))
	}
	d.q.probabilities = token.Kind() == 't'
	return nil
}
