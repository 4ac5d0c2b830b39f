// Shared by all kernels. Matrices are row-major; element (i, j) of A stands at
// a[a_at + i*lda + j]. a_at and lda are multiples of 16; the elements between a
// row's last column and its stride are zero and stay zero.

// ReLU(x) = x < 0 ? 0 : x. fmax(x, 0) and x > 0 ? x : 0 would turn a NaN into 0.
#define RELU(x) ((x) < 0.0f ? 0.0f : (x))

// The epilogues of the matrix products.
#define BIAS 1
#define MASK 2
#define PARTIAL 3

// What a product in groups makes of the sum for element (i, j); e is the bias, or the
// layer's input.
#if EPILOGUE == MASK
#define FINISH(sum, i, j) (e[e_at + (ulong)(i) * lde + (j)] > 0.0f ? (sum) : 0.0f)
#elif EPILOGUE == BIAS
#define FINISH(sum, i, j) (relu ? RELU((sum) + e[e_at + (j)]) : (sum) + e[e_at + (j)])
#else
#define FINISH(sum, i, j) (sum)
#endif

// The elements of a product's first operand, and four of them as numbers: rows are a
// multiple of 16 elements apart.
#ifdef A_BYTES
#define A_ELEMENT uchar
#define A_FOUR(from) convert_float4(*(global const uchar4 *)(from))
#else
#define A_ELEMENT float
#define A_FOUR(from) (*(global const float4 *)(from))
#endif

// Vectors of WIDTH elements, VECTORS of them to a tile's columns. Every address
// that is loaded or stored is a multiple of WIDTH elements from the start of a
// buffer, so they are aligned; of vstore16, which knows no more than a float's
// alignment, PoCL 3.1 makes four stores of 16 bytes with shuffles before them.
#ifdef WIDTH
#define CAT_(a, b) a##b
#define CAT(a, b) CAT_(a, b)
#define vector CAT(float, WIDTH)
#define LOAD(i, from) (((global const vector *)(from))[i])
#define STORE(value, i, to) (((global vector *)(to))[i] = (value))
#define VECTORS (ITEM_COLS / WIDTH)
#endif
