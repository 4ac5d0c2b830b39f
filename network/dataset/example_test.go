package dataset_test

import (
	"context"
	"fmt"
	"log"

	"clgrad/cpu"
	"clgrad/network"
	"clgrad/network/dataset"
)

// Train on rows that are made in Go, and predict others.
func ExampleFromRows() {
	var rows [][]float64
	var labels []string
	for i := range 400 { // points of a square: which are in the circle?
		x, y := float64(i%20)/10-0.95, float64(i/20)/10-0.95
		label := "outside"
		if x*x+y*y < 0.5 {
			label = "inside"
		}
		rows, labels = append(rows, []float64{x, y}), append(labels, label)
	}
	set, err := dataset.FromRows(rows, labels)
	check(err)
	set, err = set.Split(0.2, 1) // a fifth of each class is held back
	check(err)
	set, err = set.Preprocess(dataset.Feature)
	check(err)

	layout, err := network.NewLayout([]int{set.Train.Features, 16, set.Classes})
	check(err)
	backend := cpu.New[float32]()
	defer backend.Close()
	plan, err := network.NewPlan(layout.Sizes, set.Train, set.Train.Rows, backend)
	check(err)
	trainer, err := network.NewTrainer(layout, set.Train, plan, []network.Backend{backend}, nil)
	check(err)
	defer trainer.Close()
	theta, err := layout.Initial(network.He, 1)
	check(err)
	check(trainer.SetParameters(theta, 0))
	check(trainer.Descend(context.Background(), network.Descent{Iterations: 500, LearningRate: 0.5}, nil))

	theta, err = trainer.Parameters()
	check(err)
	model, err := network.NewModel(backend, layout, theta, plan.Shards[0])
	check(err)
	defer model.Close()
	_, accuracy, err := model.Score(set.Validation)
	check(err)
	fmt.Println("more than 90 % of the validation set are right:", accuracy > 0.9)

	unknown, err := dataset.FromRows([][]float64{{0, 0.1}, {0.9, -0.8}}, []string(nil))
	check(err)
	logits, err := model.Logits(unknown.Scale(set.Train.Scaling).Train)
	check(err)
	for row := range 2 {
		class := 0
		if logits[2*row+1] > logits[2*row] {
			class = 1
		}
		fmt.Println(set.ClassNames[class])
	}
	// Output:
	// more than 90 % of the validation set are right: true
	// inside
	// outside
}

// Rows to test on have the classes of those to train on, by their names.
func ExampleWithTest() {
	set, err := dataset.FromRows([][]float64{{1}, {2}, {8}, {9}}, []string{"small", "small", "large", "large"})
	check(err)
	set, err = dataset.WithTest(set, [][]float64{{3}}, []string{"small"})
	check(err)
	fmt.Println(set)
	fmt.Println(set.ClassNames, "the test row is of class", set.Test.Labels[0])
	// Output:
	// rows: 4 rows of 1 feature (float32) to train on, 1 to test on, 2 classes
	// [large small] the test row is of class 1
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
