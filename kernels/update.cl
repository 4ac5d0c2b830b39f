// An update of parameters by RULE (common.cl has its formulas), over flat vectors: x the
// parameters, g their gradient, a and b the rule's state. Where an element is not finite
// afterwards, or g is not, recorder[0] becomes the iteration, unless it holds one already. All
// work-items that find such an element offer the same number, so their order does not matter.
//
// A work-item takes ITEM elements: one on devices with many small cores; many, 16 at a
// time in a vector register, where work-items are whole cores (CPUs). There 100,000
// elements took 0.13 ms with one a work-item, four times as long as with many: the test for
// finite numbers, which may end in an atomic operation, kept PoCL from making vectors.
#if STATES > 0
#define LOAD_A(T, i) *(global T *)(a + (i))
#define STORE_A(T, i) (*(global T *)(a + (i)) = p)
#else
#define LOAD_A(T, i) 0.0f
#define STORE_A(T, i)
#endif
#if STATES > 1
#define LOAD_B(T, i) *(global T *)(b + (i))
#define STORE_B(T, i) (*(global T *)(b + (i)) = q)
#else
#define LOAD_B(T, i) 0.0f
#define STORE_B(T, i)
#endif

// Elements i … of a type; wrong is not 0 afterwards where a number is not finite.
#define UPDATE(T, i, wrong)                                  \
    do {                                                     \
        T y = *(global T *)(x + (i)), p = LOAD_A(T, i), q = LOAD_B(T, i); \
        const T d = *(global const T *)(g + (i));            \
        APPLY(T, y, d, p, q);                                \
        *(global T *)(x + (i)) = y;                          \
        STORE_A(T, i);                                       \
        STORE_B(T, i);                                       \
        wrong += NOT_FINITE(y, d, p, q);                     \
    } while (0)

kernel void update(
    const int count, const int iteration, FACTORS,
    global float *x, const ulong x_at,        // count
    global const float *g, const ulong g_at,  // count
    global float *a, const ulong a_at,        // count, where STATES is 1 or 2
    global float *b, const ulong b_at,        // count, where STATES is 2
    global int *recorder)
{
    const int first = get_global_id(0) * ITEM;
    const int end = min(first + ITEM, count);
    x += x_at;
    g += g_at;
    a += a_at;
    b += b_at;
    float wrong = 0.0f;
    int i = first;
#if ITEM >= 16
    float16 wrongs = 0.0f;
    for (; i + 16 <= end; i += 16)
        UPDATE(float16, i, wrongs);
    if (any(wrongs != wrongs))
        wrong = NAN;
#endif
    for (; i < end; i++)
        UPDATE(float, i, wrong);
    if (wrong != wrong)
        atomic_cmpxchg(recorder, 0, iteration);
}
