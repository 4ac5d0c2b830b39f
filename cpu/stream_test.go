package cpu

import (
	"context"
	"slices"
	"testing"

	"clgrad/network"
	"clgrad/network/must"
)

// A streamed input gives the bits of one that is held, in batches of all rows and smaller ones,
// and takes the memory of a block.
func TestStreamSameBits(t *testing.T) {
	const features = 1 << 12
	rows := network.StreamBytes/features + 100
	s := network.Samples{Rows: rows, Features: features, Bytes: make([]byte, rows*features), Labels: make([]int32, rows),
		Scaling: network.Scaling{Shift: []float64{3}, Factor: []float64{1. / 255}}}
	for i := range s.Bytes {
		s.Bytes[i] = byte(i * i >> 7)
	}
	for i := range s.Labels {
		s.Labels[i] = int32(i % 3)
	}
	l, err := network.NewLayout([]int{features, 4, 3})
	must.OK(t, err)
	for _, batch := range []int{rows, 3000} {
		train := func(mode network.InputMode) (losses []float64, held int64) {
			b := New[float32]()
			defer b.Close()
			b.Input = mode
			plan, err := network.NewOrderedPlan(l.Sizes, s, batch, network.Random, 1, b)
			must.OK(t, err)
			trainer, err := network.NewTrainer(l, s, plan, []network.Backend{b}, nil)
			must.OK(t, err)
			defer trainer.Close()
			theta, err := l.Initial(network.He, 1)
			if err == nil {
				err = trainer.SetParameters(theta, 0)
			}
			must.OK(t, err)
			err = trainer.Descend(context.Background(), network.Descent{Iterations: 2, LearningRate: 0.01}, func(i network.Iteration) error {
				losses = append(losses, i.Loss)
				return nil
			})
			must.OK(t, err)
			return losses, b.MemoryHeld()
		}
		want, all := train(network.ResidentInput)
		got, few := train(network.StreamedInput)
		if !slices.Equal(want, got) {
			t.Errorf("batches of %d rows: losses %v, held %v", batch, got, want)
		}
		if few > all/2 {
			t.Errorf("batches of %d rows: %d bytes are held, %d where all are", batch, few, all)
		}
	}
}
