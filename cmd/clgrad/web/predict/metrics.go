package predict

import (
	"net/http"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"clgrad/cmd/clgrad/web"
)

// metrics are what GET /metrics says.
type metrics struct {
	registry *prometheus.Registry
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	rows     prometheus.Counter
	batches  prometheus.Histogram
	device   prometheus.Histogram
}

func newMetrics() *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "clgrad_http_requests_total", Help: "Requests answered."}, []string{"handler", "code"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "clgrad_http_request_seconds", Help: "Time from a request's head to the end of its answer.",
			Buckets: []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30}}, []string{"handler"}),
		rows: prometheus.NewCounter(prometheus.CounterOpts{Name: "clgrad_predicted_rows_total", Help: "Rows predicted."}),
		batches: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "clgrad_batch_rows", Help: "Rows computed at a time.",
			Buckets: prometheus.ExponentialBuckets(1, 2, 13)}),
		device: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "clgrad_batch_seconds", Help: "Time that the device takes for a batch, with the transfer.",
			Buckets: prometheus.ExponentialBuckets(1e-5, 2, 20)}),
	}
	m.registry.MustRegister(m.requests, m.seconds, m.rows, m.batches, m.device,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// waiting adds the number of requests that wait for the device.
func (m *metrics) waiting(of func() int) {
	m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "clgrad_waiting_requests", Help: "Requests that wait for the device."},
		func() float64 { return float64(of()) }))
}

// request counts a request. Those that no handler has are counted together: their paths may be anything.
func (m *metrics) request(r web.Request) {
	handler := r.Pattern
	if handler == "" {
		handler = "none"
	}
	m.requests.WithLabelValues(handler, strconv.Itoa(r.Status)).Inc()
	m.seconds.WithLabelValues(handler).Observe(r.Time.Seconds())
}

// batch counts a batch.
func (m *metrics) batch(b Batch) {
	m.batches.Observe(float64(b.Rows))
	m.device.Observe(b.Time.Seconds())
}

func (m *metrics) handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
}
