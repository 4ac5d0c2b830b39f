package catalog

import (
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A Condition chooses runs by a column, as in test>0.97, data=mnist or device~epyc.
type Condition struct {
	column   Column
	operator string
	text     string
	number   float64
}

var conditionForm = regexp.MustCompile(`^\s*([A-Za-z]+)\s*(<=|>=|!=|=|<|>|~)\s*(.*?)\s*$`)

// ParseCondition reads a condition.
func ParseCondition(s string) (c Condition, err error) {
	parts := conditionForm.FindStringSubmatch(s)
	if parts == nil {
		return c, fmt.Errorf("%.80q: COLUMN, one of = != < <= > >= ~, and a value are expected in quotes, as in 'test>0.97'", s)
	}
	if c.column, err = FindColumn(parts[1]); err != nil {
		return c, err
	}
	c.operator, c.text = parts[2], parts[3]
	numeric := c.column.number != nil
	switch {
	case numeric && c.operator == "~":
		return c, fmt.Errorf("%.80q: %s is a number: one of = != < <= > >= is expected", s, c.column.Name)
	case !numeric && strings.ContainsAny(c.operator, "<>"):
		return c, fmt.Errorf("%.80q: %s is text: one of = != ~ is expected", s, c.column.Name)
	case !numeric:
		return c, nil
	}
	parse := c.column.parse
	if parse == nil {
		parse = parseNumber
	}
	if c.number, err = parse(c.text); err != nil {
		return c, fmt.Errorf("%.80q: %w", s, err)
	}
	return c, nil
}

// parseNumber reads a number, or a percentage.
func parseNumber(s string) (float64, error) {
	digits, percent := strings.CutSuffix(s, "%")
	v, err := strconv.ParseFloat(strings.TrimSpace(digits), 64)
	if err != nil || math.IsNaN(v) || math.IsInf(v, 0) {
		return 0, fmt.Errorf("%.40q where a number is expected, as in 0.97 or 97%%", s)
	}
	if percent {
		v /= 100
	}
	return v, nil
}

// parseTime reads a time of this place, as seconds since 1970.
func parseTime(s string) (float64, error) {
	for _, layout := range []string{time.RFC3339, "2006-01-02 15:04:05", beganLayout, time.DateOnly} {
		if t, err := time.ParseInLocation(layout, s, time.Local); err == nil {
			return float64(t.UnixMilli()) / 1000, nil
		}
	}
	return 0, fmt.Errorf("%.40q where a time is expected, as in 2026-01-31 or 2026-01-31 18:30", s)
}

// Fits reports whether a run meets the condition. Text is compared in any case of letters, and
// ~ asks whether it holds the value. A run without a value fits nothing.
func (c Condition) Fits(r Run) bool {
	if !c.column.known(r) {
		return false
	}
	if c.column.number != nil {
		v := c.column.number(r)
		return map[string]bool{
			"=": v == c.number, "!=": v != c.number, "<": v < c.number, "<=": v <= c.number, ">": v > c.number, ">=": v >= c.number,
		}[c.operator]
	}
	v := c.column.text(r)
	switch c.operator {
	case "=":
		return strings.EqualFold(v, c.text)
	case "!=":
		return !strings.EqualFold(v, c.text)
	}
	return strings.Contains(strings.ToLower(v), strings.ToLower(c.text))
}

// FitsAll reports whether a run meets all conditions.
func FitsAll(r Run, all []Condition) bool {
	return !slices.ContainsFunc(all, func(c Condition) bool { return !c.Fits(r) })
}
