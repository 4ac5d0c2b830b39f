package web

import (
	"fmt"
	"net/http"
	"net/url"
)

// Parameters returns the parameters of a request's URL. Where one cannot be read or is given twice, it returns the
// detail of a problem, "" where all is well.
func Parameters(r *http.Request) (parameters map[string]string, problem string) {
	all, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, fmt.Sprintf("The parameters of the URL cannot be read: %v.", err)
	}
	parameters = map[string]string{}
	for name, values := range all {
		if len(values) > 1 {
			return nil, fmt.Sprintf("The parameter %.40q is given twice.", name)
		}
		parameters[name] = values[0]
	}
	return parameters, ""
}
