package classifier_test

import (
	"context"
	"fmt"
	"log"
	"math/rand/v2"
	"os"
	"path/filepath"

	"clgrad/cpu"
	"clgrad/network"
	"clgrad/network/classifier"
	"clgrad/network/dataset"
)

// points returns points of a square, and for each whether it is within a circle.
func points(n int) (rows [][]float64, labels []string) {
	random := rand.New(rand.NewPCG(1, 2))
	for range n {
		x, y := 2*random.Float64()-1, 2*random.Float64()-1
		label := "outside"
		if x*x+y*y < 0.5 {
			label = "inside"
		}
		rows, labels = append(rows, []float64{x, y}), append(labels, label)
	}
	return rows, labels
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

// Train on rows that are made in Go, look at the accuracy on others, and predict.
func Example() {
	backend := cpu.New[float32]()
	defer backend.Close()
	set, err := dataset.FromRows(points(1000)) // [][]float64 and []string
	check(err)
	set, err = set.Divide(800, 200, 1) // rows to train on, and to test on
	check(err)

	c := classifier.New(backend, classifier.Options{Hidden: []int{16}, BatchSize: 20, Epochs: 20})
	check(c.Fit(context.Background(), set))
	_, accuracy, err := c.Score(set.Test)
	check(err)
	labels, err := c.Predict([][]float64{{0, 0.1}, {0.9, -0.8}})
	check(err)
	fmt.Println("more than 95 % are right:", accuracy > 0.95)
	fmt.Println(labels)
	// Output:
	// more than 95 % are right: true
	// [inside outside]
}

// Train on the digits of MNIST, save the network, load it and predict.
func Example_mnist() {
	dir, err := os.MkdirTemp("", "")
	check(err)
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "digits.safetensors")

	ctx := context.Background()
	backend := cpu.New[float32]() // or backend, why := gpu.BestOr(cpu.New[float32]()), the best OpenCL device
	defer backend.Close()
	set, err := dataset.Load(ctx, "mnist", dataset.Options{})
	check(err)
	c := classifier.New(backend, classifier.Options{Hidden: []int{128}, BatchSize: 100, Epochs: 1})
	check(c.Fit(ctx, set))
	loss, accuracy, err := c.Score(set.Test)
	check(err)
	check(c.Save(file))
	c, err = classifier.Load(file, backend)
	check(err)
	digits, err := c.Predict([][]float64{pixels(set.Test, 0), pixels(set.Test, 1)})
	check(err)

	fmt.Println(set)
	fmt.Println(c)
	fmt.Println("more than 95 % of the test set are right:", accuracy > 0.95, "with a loss below 0.2:", loss < 0.2)
	fmt.Println(digits)
	// Output:
	// mnist: 60000 rows of 784 features (bytes) to train on, 10000 to test on, 10 classes
	// classifier, 784-128-10, 101770 parameters, after 600 iterations
	// more than 95 % of the test set are right: true with a loss below 0.2: true
	// [7 2]
}

// pixels returns the raw features of a row.
func pixels(s network.Samples, row int) (values []float64) {
	for _, v := range s.Row(row) {
		values = append(values, float64(v))
	}
	return values
}

// The scaling is fitted on the rows that are trained on. It is saved with the network, so that
// rows to predict are given as they are.
func ExampleOptions_scaling() {
	var metres [][]float64 // length and height
	var kinds []string
	for i := range 40 {
		metres = append(metres, []float64{4000 + float64(i), 0.1}, []float64{4000 + float64(i), 0.2})
		kinds = append(kinds, "low", "high")
	}
	set, err := dataset.FromRows(metres, kinds)
	check(err)
	backend := cpu.New[float32]()
	defer backend.Close()
	// Each feature less its mean, divided by its deviation.
	c := classifier.New(backend, classifier.Options{Hidden: []int{}, Preprocess: dataset.Feature})
	check(c.Fit(context.Background(), set))
	predicted, err := c.Predict([][]float64{{4020, 0.19}, {4010, 0.12}})
	check(err)
	fmt.Println(predicted)
	// Output:
	// [high low]
}

// A saved network predicts the same, with the names of its classes.
func ExampleLoad() {
	backend := cpu.New[float32]()
	defer backend.Close()
	set, err := dataset.FromRows(points(500))
	check(err)
	c := classifier.New(backend, classifier.Options{Hidden: []int{16}, LearningRate: 1})
	check(c.Fit(context.Background(), set))
	dir, err := os.MkdirTemp("", "")
	check(err)
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "circle.safetensors")
	check(c.Save(file))

	again, err := classifier.Load(file, backend)
	check(err)
	fmt.Println(again)
	fmt.Println(again.Classes())
	rows := [][]float64{{0, 0.1}, {0.9, -0.8}}
	before, err := c.PredictProbabilities(rows)
	check(err)
	after, err := again.PredictProbabilities(rows)
	check(err)
	fmt.Println("equal:", fmt.Sprint(before) == fmt.Sprint(after))
	// Output:
	// classifier, 2-16-2, 82 parameters, after 100 iterations
	// [inside outside]
	// equal: true
}

// The probabilities of a row are in the order of the classes.
func ExampleClassifier_PredictProbabilities() {
	backend := cpu.New[float32]()
	defer backend.Close()
	set, err := dataset.FromRows([][]float64{{0}, {1}, {2}, {3}}, []string{"small", "small", "large", "large"})
	check(err)
	c := classifier.New(backend, classifier.Options{Hidden: []int{}, Iterations: 2000, LearningRate: 1})
	check(c.Fit(context.Background(), set))
	probabilities, err := c.PredictProbabilities([][]float64{{1.5}, {3}})
	check(err)
	fmt.Println(c.Classes())
	for _, p := range probabilities {
		fmt.Printf("%.1f\n", p)
	}
	// Output:
	// [large small]
	// [0.5 0.5]
	// [1.0 0.0]
}

// Early stopping holds rows back, ends when their loss gets no lower, and keeps the parameters
// that had the lowest.
func ExampleOptions_earlyStopping() {
	rows, labels := points(100)
	for i := range 20 { // some are labelled wrong
		labels[5*i] = "inside"
	}
	set, err := dataset.FromRows(rows, labels)
	check(err)
	backend := cpu.New[float32]()
	defer backend.Close()
	c := classifier.New(backend, classifier.Options{
		Rule: network.NewRule(network.Adam), LearningRate: 0.01, Iterations: 5000,
		EarlyStopping: true, Validation: 0.2, Patience: 20,
	})
	check(c.Fit(context.Background(), set))
	fmt.Println("ended early:", len(c.Losses()) < 5000)
	fmt.Println("evaluations without a lower loss:", (len(c.Losses())-c.Iterations())/10)
	// Output:
	// ended early: true
	// evaluations without a lower loss: 20
}

// A callback watches the training, and can end it.
func ExampleOptions_callback() {
	set, err := dataset.FromRows(points(1000))
	check(err)
	backend := cpu.New[float32]()
	defer backend.Close()
	calls := 0
	c := classifier.New(backend, classifier.Options{
		Hidden: []int{16}, BatchSize: 20, Epochs: 100, Validation: 0.2,
		Callback: func(p classifier.Progress) error {
			if calls++; p.ValidationAccuracy > 0.95 {
				return classifier.ErrStop
			}
			return nil
		},
	})
	check(c.Fit(context.Background(), set))
	fmt.Println("ended early:", calls < 100, "after a whole number of epochs:", c.Iterations() == calls*40)
	// Output:
	// ended early: true after a whole number of epochs: true
}

// Model leads to what the other packages do with a network.
func ExampleClassifier_Model() {
	backend := cpu.New[float32]()
	defer backend.Close()
	set, err := dataset.FromRows(points(100))
	check(err)
	c := classifier.New(backend, classifier.Options{Hidden: []int{4}})
	check(c.Fit(context.Background(), set))
	m, err := c.Model()
	check(err)
	layout, err := network.NewLayout(m.Sizes)
	check(err)
	fmt.Println(m)
	w, _ := layout.Layer(1)
	fmt.Println("weights from hidden unit 0 to the classes:", len(w.Row(m.Parameters, 0)))
	// Output:
	// 2-4-2, 22 parameters (F32), scaled by max, after 100 iterations
	// weights from hidden unit 0 to the classes: 2
}
