package predict

import (
	"strconv"

	"github.com/go-json-experiment/json/jsontext"

	"clgrad/cmd/clgrad/score"
	"clgrad/network"
)

// quoted returns texts as JSON has them.
func quoted(texts []string) [][]byte {
	var all [][]byte
	for _, t := range texts {
		q, err := jsontext.AppendQuote(nil, t)
		if err != nil { // it is not UTF-8: what is not becomes U+FFFD
			q, _ = jsontext.AppendQuote(nil, string([]rune(t)))
		}
		all = append(all, q)
	}
	return all
}

// appendAnswer appends the answer to a request. labels are the names of the classes as JSON.
func appendAnswer(b []byte, q *rows, logits []float64, labels [][]byte) []byte {
	classes := len(labels)
	predicted, probabilities := network.Predicted(logits, classes), network.Softmax(logits, classes)
	files := quoted(q.files)
	b = append(b, `{"predictions":[`...)
	for i, class := range predicted {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, '{')
		if files != nil {
			b = append(b, `"file":`...)
			b = append(append(b, files[i]...), ',')
		}
		row := probabilities[i*classes : (i+1)*classes]
		b = appendClass(b, class, row, labels)
		if q.top > 0 {
			b = append(b, `,"top":[`...)
			for k, class := range score.MostProbable(logits[i*classes:(i+1)*classes], q.top) {
				if k > 0 {
					b = append(b, ',')
				}
				b = append(appendClass(append(b, '{'), class, row, labels), '}')
			}
			b = append(b, ']')
		}
		if q.probabilities {
			b = append(b, `,"probabilities":[`...)
			for k, p := range row {
				if k > 0 {
					b = append(b, ',')
				}
				b = appendProbability(b, p)
			}
			b = append(b, ']')
		}
		b = append(b, '}')
	}
	b = append(b, ']')
	if q.notes != nil {
		b = append(b, `,"notes":[`...)
		for i, note := range quoted(q.notes) {
			if i > 0 {
				b = append(b, ',')
			}
			b = append(b, note...)
		}
		b = append(b, ']')
	}
	return append(b, "}\n"...)
}

// appendClass appends the members of a class.
func appendClass(b []byte, class int, probabilities []float64, labels [][]byte) []byte {
	b = append(append(b, `"label":`...), labels[class]...)
	b = strconv.AppendInt(append(b, `,"class":`...), int64(class), 10)
	return appendProbability(append(b, `,"probability":`...), probabilities[class])
}

// appendProbability appends as many digits as float32 has.
func appendProbability(b []byte, p float64) []byte { return strconv.AppendFloat(b, p, 'g', -1, 32) }
