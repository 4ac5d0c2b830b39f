// Package backendtest is the conformance suite that every network.Backend must
// pass. A user's self-test is one call of [Check]; a backend's own Go test is one
// call of gotest.Run, which stands apart so that no program contains package testing.
//
// The suite computes what is true by itself, in float64 with gonum's own Go
// code (called directly, so that no replaced BLAS can change it), or with
// math/big for a backend whose unit roundoff is 2⁻⁵³. It knows no backend.
//
// # Families
//
// Each family of operations runs on a backend of its own, opened for it and
// closed after it, within a time limit. The families are
//
//	plan                   Info, Propose, Prepare
//	buffer                 NewBuffer, Write, Read, Clear
//	load                   Load and Refill, seen through Forward with W = I
//	forward-input          h = act(x·W + b), x a block of the input
//	forward                h = act(x·W + b)
//	softmax-cross-entropy  dz = (softmax(z) − onehot(y))/m, loss, correct rows
//	weight-gradient-input  dW = xᵀ·dz, db = Σ rows of dz, or added, x a block of the input
//	weight-gradient        dW = xᵀ·dz, db = Σ rows of dz, or added
//	input-gradient         dx = (dz·Wᵀ) ⊙ [x > 0]
//	update                 θ and the state after an update of each rule ([network.Rule]),
//	                       and the first iteration that was not finite
//	recorder               records and the ranges in which they are read
//	steps                  whole iterations, where the executor is a network.Stepper
//	closed                 use after Close
//	misuse                 shapes that do not fit must panic
//	gradient               gradients of a whole network and central differences
//	training               20 steps and a float64 training; 50 of each rule and schedule
//	                       by a network.Trainer; fresh backends agree
//
// # What every product is put through
//
// Operands are views with an offset, in buffers whose other elements, in front
// and behind, hold known values. Row strides are network.AlignUp(columns), in
// some cases more. After the verb nothing outside the result may have changed,
// the padding of the result must be zero, and the same call on the same values
// must give the same bits. Padding is zero before the verb, in operands and
// results alike.
//
// Three gates judge the numbers; each catches what the others cannot.
//
//  1. The bound. A sum of k products in any order obeys
//     |ĉ − c| ≤ γ_d Σ|a||b|, γ_d = d·u/(1 − d·u), d = k + blocks + 3,
//     where an accumulated term or a bias counts among the summands. Operands
//     are normal, nearly cancelling, and spread over many binades. It proves
//     that the right terms are added, element by element, and holds for every
//     legitimate order of summation; it is generous where k is large.
//  2. Exact integers, at every shape. Every partial sum in any order is an
//     integer below 2²⁴, so the result must be equal. Both operands hold odd
//     values of 12 bits, which neither bfloat16 nor TF32 nor half precision
//     can hold. It proves that no term is dropped, doubled or stale, at any
//     edge of any tile, and that operands are not rounded.
//  3. The naive kernel. The error, as root mean square and as maximum, is at
//     most 4 times that of the loop that adds the products one after the other
//     at the backend's precision. It proves that accuracy does not rest on the
//     generosity of the bound.
//
// An input that says it is affine (network.AffineInput) holds x = y + z in two
// parts. Its products are judged as sums of twice as many terms, y·w and z·w, by
// all three gates; what Load gives back is then y + z within γ_4·(|y| + |z|).
//
// A backend that says so in network.Info rounds the operands of products to a coarser
// unit roundoff δ. Its bound is then larger by (2δ + δ²) Σ|a||b|, its integers have the
// bits of δ, and the naive kernel gets the operands rounded like that: so a product of
// reduced precision has the error of its rounding and no other. Whole gradients and
// training runs may be off by 8 δ of their largest element.
//
// On a backend whose roundoff is 2⁻⁵³ gates 1 and 3 run on small shapes only,
// because math/big is slow; gate 2 runs at every shape.
//
// Softmax has a bound of its own (see softmax.go), and an exact case: logits so
// far apart that every loss is an integer and every probability 0 or 1.
//
// # Whole iterations
//
// A backend that does whole iterations (network.Steps) has each of its stages
// (network.Stages) judged by the stored ones before it, as if a verb had computed it, by the
// same gates; θ after a step is judged by the rule's formulas and the gradient of Evaluate.
// Whole iterations are exact on integers, with logits so far apart that every probability is
// 0 or 1, and m and the learning rate powers of two. The family has no cases where the plan
// for sparse bytes has no whole iterations, and says so in the report.
//
// # Soaking
//
// [RunSoak] trains for long and samples memory, open files, handles and time,
// none of which may grow; [Soak.Check] has the rule.
package backendtest
