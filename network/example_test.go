package network_test

import (
	"context"
	"fmt"
	"log"

	"clgrad/cpu"
	"clgrad/network"
)

// Train a network with one hidden layer on the exclusive or of two bits.
func Example() {
	samples := network.Samples{
		Rows: 4, Features: 2,
		Floats: []float32{0, 0, 0, 1, 1, 0, 1, 1},
		Labels: []int32{0, 1, 1, 0},
	}
	layout, err := network.NewLayout([]int{2, 8, 2})
	if err != nil {
		log.Fatal(err)
	}
	backend := cpu.New[float32]() // or gpu.Open(device, gpu.Options{})
	defer backend.Close()

	plan, err := network.NewPlan(layout.Sizes, samples, samples.Rows, backend)
	if err != nil {
		log.Fatal(err)
	}
	trainer, err := network.NewTrainer(layout, samples, plan, []network.Backend{backend}, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer trainer.Close()

	theta, err := layout.Initial(network.He, 1)
	if err != nil {
		log.Fatal(err)
	}
	if err := trainer.SetParameters(theta, 0); err != nil {
		log.Fatal(err)
	}
	descent := network.Descent{Iterations: 60, LearningRate: 0.5, Every: 20}
	err = trainer.Descend(context.Background(), descent, func(i network.Iteration) error {
		if i.Number%20 == 0 {
			fmt.Printf("iteration %d: loss %.1f, %d of 4 correct\n", i.Number, i.Loss, i.Correct)
		}
		return nil
	})
	if err != nil {
		log.Fatal(err)
	}
	// Output:
	// iteration 20: loss 0.2, 4 of 4 correct
	// iteration 40: loss 0.1, 4 of 4 correct
	// iteration 60: loss 0.0, 4 of 4 correct
}
