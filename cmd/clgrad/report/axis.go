package report

import (
	"math"
	"strconv"
	"strings"

	"gonum.org/v1/plot"
)

// axes gives the axes their ranges and ticks, when all else is drawn.
func (d *drawing) axes() {
	widen(&d.X.Min, &d.X.Max)
	if low, high := d.Y.Min, d.Y.Max; d.log && low >= leastLogarithmic && high > 10*low {
		d.Y.Scale, d.Y.Tick.Marker = plot.LogScale{}, plot.TickerFunc(logTicks)
		d.Y.Label.Text += ", logarithmic"
		margin := math.Pow(high/low, 0.04)
		d.Y.Min, d.Y.Max = low/margin, high*margin
		return
	}
	widen(&d.Y.Min, &d.Y.Max)
	// No curve is hidden by an axis, and no accuracy is above 100 %.
	low, high := d.Y.Min, d.Y.Max
	margin := 0.04 * (high - low)
	d.Y.Max = max(high, min(high+margin, d.most))
	if d.Y.Min = low - margin; low >= 0 {
		d.Y.Min = max(0, d.Y.Min)
	}
}

// leastLogarithmic is the least value of a logarithmic axis: what is drawn is up to [largestValue], and
// float64 holds their ratio and the margins.
const leastLogarithmic = 1e-200

// widen sees to it that an axis is wide enough to have ticks that differ.
func widen(low, high *float64) {
	most := max(math.Abs(*low), math.Abs(*high))
	if room := max(1e-9, 1e-6*most); *high-*low < room {
		room = max(room, 0.1*most)
		*low -= room
		*high += room
	}
}

// mostTicks is how many ticks an axis has at most.
const mostTicks = 7

// ticks returns labelled ticks at multiples of 1, 2 or 5 times a power of ten.
func ticks(low, high float64) []plot.Tick {
	return multiples(low, high, tickStep(low, high))
}

// wholeTicks is ticks at whole numbers.
func wholeTicks(low, high float64) []plot.Tick {
	return multiples(low, high, max(1, tickStep(low, high)))
}

// epochTicks is ticks of an axis of iterations at epochs of so many of them.
func epochTicks(epoch int) plot.TickerFunc {
	return func(low, high float64) []plot.Tick {
		all := ticks(low/float64(epoch), high/float64(epoch))
		for i := range all {
			all[i].Value = min(max(all[i].Value*float64(epoch), low), high)
		}
		return all
	}
}

func tickStep(low, high float64) float64 {
	least := (high - low) / (mostTicks - 1)
	power := math.Pow(10, math.Floor(math.Log10(least)))
	for _, m := range []float64{1, 2, 5} {
		if step := m * power; step >= least {
			return step
		}
	}
	return 10 * power
}

func multiples(low, high, step float64) []plot.Tick {
	var all []plot.Tick
	slack := 1e-9 * (high - low)
	from := math.Ceil((low - slack) / step)
	for i := range mostTicks + 1 {
		v := (from + float64(i)) * step
		if v > high+slack {
			break
		}
		// A value within the slack is drawn at the end, not beyond it.
		all = append(all, plot.Tick{Value: min(max(v, low), high), Label: tickText(v, step, max(math.Abs(low), math.Abs(high)))})
	}
	return all
}

// tickText writes a multiple of a step with as many decimals as the step has, or where the
// numbers are too long for that with an exponent. most is the largest of all.
func tickText(v, step, most float64) string {
	power := int(math.Floor(math.Log10(step) + 1e-9))
	decimals := max(0, -power)
	if decimals <= 6 && most < 1e7 {
		text := strconv.FormatFloat(v, 'f', decimals, 64)
		if strings.Trim(text, "-0.") == "" {
			text = strings.TrimPrefix(text, "-")
		}
		return text
	}
	if math.Abs(v) < step/2 {
		return "0"
	}
	return strconv.FormatFloat(v, 'e', max(0, int(math.Floor(math.Log10(most)+1e-9))-power), 64)
}

// logTicks returns labelled ticks of a logarithmic axis: at 1, 2 and 5 times powers of ten,
// or at powers of ten where those are too many, some of which have no label then.
func logTicks(low, high float64) (all []plot.Tick) {
	first, last := int(math.Floor(math.Log10(low))), int(math.Ceil(math.Log10(high)))
	digits := []float64{1}
	if math.Log10(high/low) < mostTicks/3. {
		digits = []float64{1, 2, 5}
	}
	every := (last - first + mostTicks) / mostTicks
	decimals := 0
	for power := first; power <= last; power++ {
		for _, digit := range digits {
			v := digit * math.Pow(10, float64(power))
			if v < low || v > high {
				continue
			}
			decimals = max(decimals, -power)
			all = append(all, plot.Tick{Value: v})
			if len(digits) > 1 || (power-first)%every == 0 {
				all[len(all)-1].Label = strconv.FormatFloat(v, 'e', 0, 64)
			}
		}
	}
	if decimals <= 4 && high < 1e6 {
		for i, t := range all {
			if t.Label != "" {
				all[i].Label = strconv.FormatFloat(t.Value, 'f', decimals, 64)
			}
		}
	}
	return all
}
