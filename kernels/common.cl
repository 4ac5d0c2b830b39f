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

// The update rules (network.Rule): x are parameters, g is their gradient, a and b are state.
// What FACTORS are is in network.Factors. With decay 0, g + 0·x is g.
#define GD 1
#define MOMENTUM 2
#define NESTEROV 3
#define ADAM 4
#define ADAMW 5
#define SUM 6
#ifdef RULE
#define FACTORS                                                           \
    const float rate, const float decay, const float keep1, const float take1, \
    const float keep2, const float take2, const float root, const float epsilon
#define FACTOR_NAMES rate, decay, keep1, take1, keep2, take2, root, epsilon
#define ADAM_STEP(T, x, d, a, b)                                  \
    a = fma((T)keep1, a, take1 * (d));                            \
    b = fma((T)keep2, b, take2 * (d) * (d));                      \
    x = fma((T)(-rate), a / fma(sqrt(b), (T)root, (T)epsilon), x)
#if RULE == GD
#define STATES 0
#define APPLY(T, x, g, a, b)                     \
    do {                                         \
        x = fma((T)(-rate), fma((T)decay, x, g), x); \
    } while (0)
#elif RULE == MOMENTUM
#define STATES 1
#define APPLY(T, x, g, a, b)                     \
    do {                                         \
        a = fma((T)keep1, a, fma((T)decay, x, g)); \
        x = fma((T)(-rate), a, x);               \
    } while (0)
#elif RULE == NESTEROV
#define STATES 1
#define APPLY(T, x, g, a, b)                     \
    do {                                         \
        const T d_ = fma((T)decay, x, g);        \
        a = fma((T)keep1, a, d_);                \
        x = fma((T)(-rate), fma((T)keep1, a, d_), x); \
    } while (0)
#elif RULE == ADAM
#define STATES 2
#define APPLY(T, x, g, a, b)                     \
    do {                                         \
        const T d_ = fma((T)decay, x, g);        \
        ADAM_STEP(T, x, d_, a, b);               \
    } while (0)
#elif RULE == ADAMW
#define STATES 2
#define APPLY(T, x, g, a, b)                     \
    do {                                         \
        x *= decay;                              \
        ADAM_STEP(T, x, g, a, b);                \
    } while (0)
#elif RULE == SUM
// No update: x is the gradient of a larger batch, which that of a part is added to where
// keep1 is 1, and which it replaces where keep1 is 0.
#define STATES 0
#define APPLY(T, x, g, a, b)                     \
    do {                                         \
        x = keep1 == 0.0f ? g : x + g;           \
    } while (0)
#else
#error RULE is none of these
#endif
// 0, or NaN where a number of an update is not finite: v − v is 0 where v is finite.
#define NOT_FINITE(x, g, a, b) (((x) - (x)) + ((g) - (g)) + ((a) - (a)) + ((b) - (b)))
#endif
