// Package classifier trains a fully connected network and predicts with it, in a few lines:
//
//	ctx := context.Background()
//	backend := cpu.New[float32]() // or backend, why := gpu.BestOr(cpu.New[float32]()), the best OpenCL device
//	defer backend.Close()
//	set, err := dataset.Load(ctx, "mnist", dataset.Options{})
//	c := classifier.New(backend, classifier.Options{Hidden: []int{128}, BatchSize: 100, Epochs: 5})
//	err = c.Fit(ctx, set)
//	loss, accuracy, err := c.Score(set.Test)
//	err = c.Save("digits.safetensors")
//	c, err = classifier.Load("digits.safetensors", backend)
//	digits, err := c.Predict(rows) // of [][]float64, raw as in the set
//
// beside looking at each err. Rows of your own become a set by [dataset.FromRows] and
// [dataset.WithTest], files by [dataset.Load].
//
// [Options] has all choices: layers, optimizer, batches, learning rate and its schedule,
// validation, early stopping, a callback. The zero value trains as the command clgrad train does
// without flags: one hidden layer of 128 units, 100 iterations of gradient descent over all
// rows at rate 0.5. Small batches learn more in the same time, as in the lines above.
//
// [Load] reads what [Classifier.Save] or clgrad train wrote, and the commands clgrad predict, eval
// and export read what Save wrote.
//
// How the backend computes is said where it is made: gpu.Open and gpu.OpenBest take options of package
// gpu, such as Input and Files for a training set that is streamed to the device (package filecache), and a
// Tuning.
//
// The parts that this package is made of have more to choose from: [network.Trainer] trains step by
// step, on several devices and from any parameters, [network.Model] scores and predicts,
// package checkpoint holds what is saved. [Classifier.Model] leads from here to there.
//
// A Classifier belongs to one goroutine at a time, as its backend does.
package classifier
