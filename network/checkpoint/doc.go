// Package checkpoint reads and writes trained networks as safetensors files.
//
// # The format
//
// A safetensors file is an 8-byte little-endian length, a JSON header of that
// length and the tensors' bytes (see
// https://github.com/huggingface/safetensors). The header names each tensor
// with its type, shape and place:
//
//	{"__metadata__": {…}, "0.weight": {"dtype": "F32", "shape": [128, 784], "data_offsets": [0, 401408]}, …}
//
// A network's tensors are those of PyTorch's nn.Sequential(Linear, ReLU,
// Linear, …), whose load_state_dict takes them as they are: layer l, counted
// from 0, has 2·l.weight, outputs × inputs, and 2·l.bias, outputs. So W stands
// transposed against a [network.Layout], and without its padding. All tensors
// are F32, or all F64: the precision of the backend that trained them, so that
// values survive exactly. The state of L-BFGS alone is F64 in every file.
//
// A run that is to go on also has, behind those and of the same shapes, the vectors of its
// optimizer's state ([network.State]), optimizer.k.2·l.weight and optimizer.k.2·l.bias
// with k counted from 0, and the best parameters so far ([Best]), best.2·l.weight and
// best.2·l.bias. The state of L-BFGS ([network.LBFGSState]) stands before the network: its
// gradient, lbfgs.gradient.2·l.weight and lbfgs.gradient.2·l.bias, and the pairs of its
// history, lbfgs.s.k.… and lbfgs.y.k.… with k counted from 0, the oldest. Its parameters are
// those of the network. A file without them is what other programs expect of a finished network.
//
// # Metadata
//
// The format's metadata are strings. Files of this package have
//
//	clgrad.version     "3" where there is a state or are best parameters, else "2"; or "1" (see [Run])
//	clgrad.sizes       inputs, hidden layers, classes: [784,128,10]
//	clgrad.scaling     what is done to a raw feature first: {"shift":[0],"factor":[0.00392…]}
//	clgrad.preprocess  the method that found the scaling: max (optional)
//	clgrad.shape       the shape of a sample: [28,28] (optional)
//	clgrad.classes     the names of the classes (optional)
//	clgrad.columns     those of the CSV file of the training set, see [dataset.Columns] (optional)
//	clgrad.features    in what ranges the rows of the training set lie, see [dataset.Profile]: {"lowest":
//	                   {"min":0,"mean":0,"max":0},"highest":…,"magnitude":…,"border":…,"row":…,"column":…} (optional)
//	clgrad.run         how the network was trained, see [Run] (optional)
//	clgrad.optimizer   what the state is of: {"optimizer":"adam","since":0} (optional); for
//	                   lbfgs with its numbers: {"optimizer":"lbfgs","since":0,"lbfgs":{"iteration":9,
//	                   "evaluations":12,"loss":0.1,"stop":"gain below rounding"}}, stop where it has come to its end
//	clgrad.best        what the best parameters are of: {"iteration":60,"loss":0.1} (optional)
//	clgrad.sha256      the file's SHA-256, its own 64 digits taken as zeros
//
// in JSON where they are not plain text. They hold no times, paths or
// durations, and are written in a fixed order: equal runs give equal files. A reader looks at the version before anything else that
// a version may change. An optimizer or best parameters need a run; no key but those above
// is allowed within them.
//
// # Files of others
//
// A file without clgrad.version, such as one of PyTorch, is a network whose scaling and run
// are unknown. Its tensors may have any names, and be F16, BF16, F32 or F64; the first two
// become F32. By these rules they are the layers of a network with ReLU in between:
//
//   - A matrix is the weights of a layer, outputs × inputs. A tensor of one dimension whose
//     name says bias, or is a letter b with or without a number, is the bias of the weights
//     whose name is the same but for that word (fc1.bias of fc1.weight, b1 of W1). A layer
//     without one has a bias of zeros.
//   - Where names first differ in a number, the smaller number comes first: 2.weight before
//     10.weight, layers.0.linear.weight before layers.1.linear.weight.
//   - Of the orders that are left, one in which each layer has as many inputs as the one
//     before has outputs. None, or more than one, is an error that lists the tensors.
//   - Anything else (a tensor of another number of dimensions or of whole numbers, a bias
//     without weights, the state of an optimizer) is an error that names it.
//
// [Model].Layers then names the tensors of each layer. [Write] gives such a model the usual
// names, and no metadata of this package: what is unknown stays so.
//
// # Other formats
//
// [WriteNPZ] writes a model for NumPy, and package onnx for the runtimes of ONNX.
//
// # Damaged and hostile files
//
// Reading checks everything against everything before it takes memory for the
// tensors: lengths against the file's size, places against shapes, shapes
// against each other, metadata against tensors. The tensors must fill the file
// without gap or overlap, every value must be finite, and the sum must be that of
// the file, where it has one: a single flipped bit is found.
//
// # Checkpoints
//
// A run directory has its finished model at the top and its checkpoints, which
// are files of the same form, in [Folder], by the number of their iterations.
// A new one has reached the disk before an older one is removed.
package checkpoint
