package recipe

import (
	"bytes"
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"
)

// An Error is what is wrong with a recipe, and where.
type Error struct {
	File         string
	Line, Column int    // from 1; columns are counted in characters
	Key          string // "" where the text is no JSON
	Problem      string
}

func (e *Error) Error() string {
	if e.Key == "" {
		return fmt.Sprintf("%s:%d:%d: %s", e.File, e.Line, e.Column, e.Problem)
	}
	return fmt.Sprintf("%s:%d:%d: key %.80q: %s", e.File, e.Line, e.Column, e.Key, e.Problem)
}

// A decodeError is an Error whose place is still an offset.
type decodeError struct {
	at      int
	key     string
	problem string
}

func (e *decodeError) Error() string { return e.problem }

var (
	recipeType = reflect.TypeFor[Recipe]()
	textType   = reflect.TypeFor[encoding.TextUnmarshaler]()
)

// A field is one that a file may have.
type field struct {
	reflect.StructField
	key string
}

// fields returns the fields of a struct by its json tags, those of embedded
// structs included.
func fields(t reflect.Type) []field {
	if known, ok := fieldsOf.Load(t); ok {
		return known.([]field)
	}
	var all []field
	for _, f := range reflect.VisibleFields(t) {
		if key, _, _ := strings.Cut(f.Tag.Get("json"), ","); key != "" {
			all = append(all, field{f, key})
		}
	}
	fieldsOf.Store(t, all)
	return all
}

// fieldsOf keeps the fields of each type: finding them takes longer than reading a file.
var fieldsOf sync.Map

// decode reads a recipe or a part of one into a struct. It is stricter than package
// json, which takes the last of equal keys and any case of them. given receives the
// value of every key that a flag could have.
func decode(name string, text []byte, to any, given map[string]string) error {
	err := decodeText(text, to, given)
	var m *decodeError
	if !errors.As(err, &m) {
		return err
	}
	before := text[:min(m.at, len(text))]
	line := 1 + bytes.Count(before, []byte{'\n'})
	column := 1 + utf8.RuneCount(before[bytes.LastIndexByte(before, '\n')+1:])
	return &Error{name, line, column, m.key, m.problem}
}

func decodeText(text []byte, to any, given map[string]string) error {
	if !utf8.Valid(text) {
		at := 0
		for rest := text; ; {
			c, n := utf8.DecodeRune(rest)
			if c == utf8.RuneError && n < 2 {
				return &decodeError{at: at, problem: "a byte that is not UTF-8"}
			}
			at, rest = at+n, rest[n:]
		}
	}
	var any json.RawMessage
	if err := json.Unmarshal(text, &any); err != nil {
		at := len(text)
		var syntax *json.SyntaxError
		if errors.As(err, &syntax) && !strings.Contains(err.Error(), "unexpected end") {
			at = max(0, int(syntax.Offset)-1)
		}
		return &decodeError{at: at, problem: strings.ReplaceAll(err.Error(), "\n", " ")}
	}
	start := len(text) - len(bytes.TrimLeft(text, " \t\r\n"))
	if err := decodeObject(reflect.ValueOf(to).Elem(), any, start, "", given); err != nil {
		return err
	}
	if r, ok := to.(*Recipe); ok && r.Version == 0 {
		return &decodeError{at: start, key: "version", problem: fmt.Sprintf("is missing: %d is expected", version)}
	}
	return nil
}

// decodeObject reads a JSON object, which begins at offset base of the file, into a
// struct. outer is the key it stands under.
func decodeObject(v reflect.Value, raw []byte, base int, outer string, given map[string]string) error {
	if raw[0] != '{' {
		return &decodeError{base, outer, fmt.Sprintf("%s where an object {…} is expected", kind(raw))}
	}
	known := map[string]field{}
	var keys []string
	for _, f := range fields(v.Type()) {
		known[f.key] = f
		keys = append(keys, f.key)
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	if _, err := d.Token(); err != nil {
		return err
	}
	seen := map[string]bool{}
	for d.More() {
		token, err := d.Token()
		if err != nil {
			return err
		}
		key, _ := token.(string)
		at, full := base+keyStart(raw, int(d.InputOffset())), key
		if outer != "" {
			full = outer + "." + key
		}
		f, ok := known[key]
		switch {
		case !ok:
			return &decodeError{at, full, "is unknown: one of " + strings.Join(keys, ", ") + " is expected"}
		case seen[key]:
			return &decodeError{at, full, "stands there twice"}
		}
		seen[key] = true
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return err
		}
		at = base + int(d.InputOffset()) - len(value)
		text, err := decodeValue(v.FieldByIndex(f.Index), value, at, full, f.Tag)
		if err != nil {
			return err
		}
		if given != nil && f.Tag.Get("kong") != "-" {
			given[key] = text
		}
		if full == "version" && text != strconv.Itoa(version) {
			return &decodeError{at, full, fmt.Sprintf("%s is unknown: %d is expected", text, version)}
		}
	}
	if c, ok := v.Addr().Interface().(interface{ check() error }); ok {
		if err := c.check(); err != nil {
			if key := (*KeyError)(nil); errors.As(err, &key) {
				return &decodeError{base, key.Key, key.Problem}
			}
			return &decodeError{base, outer, err.Error()}
		}
	}
	return nil
}

// keyStart returns where the string that ends before end begins: at the quote
// before it that is not escaped.
func keyStart(raw []byte, end int) int {
	for i := end - 2; ; {
		i = bytes.LastIndexByte(raw[:i+1], '"')
		if slashes := i - len(bytes.TrimRight(raw[:i], `\`)); slashes%2 == 0 {
			return i
		}
		i--
	}
}

// decodeValue reads a JSON value, which stands at offset at, into a field, and
// returns it as a flag would have it.
func decodeValue(v reflect.Value, raw []byte, at int, key string, tag reflect.StructTag) (text string, err error) {
	wrong := func(format string, args ...any) error { return &decodeError{at, key, fmt.Sprintf(format, args...)} }
	switch k := v.Kind(); k {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		return decodeValue(v.Elem(), raw, at, key, tag)
	case reflect.Struct:
		return "", decodeObject(v, raw, at, key, nil)
	case reflect.Slice:
		return decodeList(v, raw, at, key, tag)
	case reflect.Bool:
		if raw[0] != 't' && raw[0] != 'f' {
			return "", wrong("%s where true or false is expected", kind(raw))
		}
		v.SetBool(raw[0] == 't')
		return string(raw), nil
	case reflect.String:
		if raw[0] != '"' {
			return "", wrong("%s where a string is expected", kind(raw))
		}
		if err := json.Unmarshal(raw, &text); err != nil {
			return "", wrong("%v", err)
		}
	default:
		if kind(raw) != "a number" {
			return "", wrong("%s where a number is expected", kind(raw))
		}
		text = string(raw)
	}
	if err := setText(v, text, tag); err != nil {
		return "", wrong("%v", err)
	}
	return text, nil
}

// setText sets a field to what a flag would have.
func setText(v reflect.Value, text string, tag reflect.StructTag) error {
	if u, ok := v.Addr().Interface().(encoding.TextUnmarshaler); ok {
		return u.UnmarshalText([]byte(text))
	}
	switch v.Kind() {
	case reflect.String:
		if enum := tag.Get("enum"); enum != "" && !slices.Contains(strings.Split(enum, ", "), text) {
			return fmt.Errorf("%.80q where one of %s is expected", text, enum)
		}
		v.SetString(text)
	case reflect.Float64:
		x, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return fmt.Errorf("%.80s is out of range", text)
		}
		v.SetFloat(x)
	default:
		if err := json.Unmarshal([]byte(text), v.Addr().Interface()); err != nil {
			least := "a whole number"
			if v.CanUint() {
				least += " of at least 0"
			}
			return fmt.Errorf("%.80s where %s is expected", text, least)
		}
	}
	return nil
}

// setDefaults sets all fields that have one to their flag's default.
func setDefaults(r *Recipe) error {
	v := reflect.ValueOf(r).Elem()
	for _, f := range fields(recipeType) {
		if text, ok := f.Tag.Lookup("default"); ok {
			if err := setText(v.FieldByIndex(f.Index), text, f.Tag); err != nil {
				return fmt.Errorf("default of %s: %w", f.key, err)
			}
		}
	}
	return nil
}

// decodeList reads a JSON array. One that is a single flag, as in 500,150, is parsed
// as the flag is.
func decodeList(v reflect.Value, raw []byte, at int, key string, tag reflect.StructTag) (string, error) {
	if raw[0] != '[' {
		return "", &decodeError{at, key, fmt.Sprintf("%s where a list […] is expected", kind(raw))}
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	if _, err := d.Token(); err != nil {
		return "", err
	}
	all, texts := reflect.MakeSlice(v.Type(), 0, 0), []string{}
	for d.More() {
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return "", err
		}
		x := reflect.New(v.Type().Elem()).Elem()
		text, err := decodeValue(x, value, at+int(d.InputOffset())-len(value), key, tag)
		if err != nil {
			return "", err
		}
		all, texts = reflect.Append(all, x), append(texts, text)
	}
	if _, err := d.Token(); err != nil && err != io.EOF {
		return "", err
	}
	text := strings.Join(texts, ",")
	if text == "" {
		text = "none"
	}
	if v.Addr().Type().Implements(textType) {
		if err := setText(v, text, tag); err != nil {
			return "", &decodeError{at, key, err.Error()}
		}
		return text, nil
	}
	v.Set(all)
	return text, nil
}

// kind names the type of a JSON value.
func kind(raw []byte) string {
	switch raw[0] {
	case '{':
		return "an object"
	case '[':
		return "a list"
	case '"':
		return "a string"
	case 't', 'f':
		return string(raw)
	case 'n':
		return "null"
	}
	return "a number"
}
