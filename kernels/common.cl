// Shared by all kernels. Matrices are row-major; element (i, j) of A stands at
// a[a_at + i*lda + j]. a_at and lda are multiples of 16; the elements between a
// row's last column and its stride are zero and stay zero.

// ReLU(x) = x < 0 ? 0 : x. fmax(x, 0) and x > 0 ? x : 0 would turn a NaN into 0.
#define RELU(x) ((x) < 0.0f ? 0.0f : (x))
