// A whole iteration of a small batch in two launches, for devices whose work-items are whole
// cores (CPUs): the forward pass, the loss, the gradient and the update of one block, which is
// packed (packed_register.cl).
//
// All between the input and the derivative of the first layer's sums is local to a row. So
// step_rows gives each work-item a range of rows, and it does all layers of those. All that
// follows, the weights' gradients and their updates, is local to a weight. So step_columns
// gives each work-item a range of weights, completes their gradients in registers and updates
// them at once: no gradient is ever stored.
//
// Beside one launch an operation this leaves out the partial gradients and their addition, the
// reading and writing of the gradient, and ten of twelve launches: an epoch of MNIST in
// batches of 128 (784-128-10) takes a third of the time.
//
// The gradient of the first layer goes over a second index of the block, by features:
//
//   starts[j] … starts[j+1]−1   the entries of feature j
//   rows[q], values[q]          row and byte of entry q; only bytes that are not 0
//
// So a weight's gradient is one sum, in the order of the rows, that never leaves the registers,
// over the 19 % of MNIST that are not 0; a packed group also computes the zeros beside them.
//
// Wᵀ of all layers but the first stands in wt, for the derivative backwards; step_columns keeps
// it up to date.
//
// Activations: acts holds for each hidden layer its output h, and for every layer the derivative
// dz of its sums (of the last one first the logits), of cap rows each.
//
// Parameters:
//   LAYERS, N0 … N4  layers with weights, at most 4, and the network's sizes
//   ITEM_ROWS   rows of a packed group; divides DENSE_ROWS (step_rows alone)
//   WIDTH       elements of a vector
//   PACKED      vectors of columns of a tile over packed input (step_rows alone)
//   DENSE_ROWS  rows of a tile of the other products
//   DENSE       and its vectors of columns
//   GRADIENT    vectors of columns of a tile of the first layer's gradient (step_columns alone)
//   RANGES      parts that each layer's inputs are divided into (step_columns alone)
//   RULE        of the update, for step_columns; without it the program is that of step_rows.
//               With SUM theta is a gradient, and there is no update
#define PADDED(n) (((n) + 15) / 16 * 16)
#define STRIDE(n) (PADDED(n) | 16) // network.Stride
#define SMALLER(a, b) ((a) < (b) ? (a) : (b))

// Columns first … first+V·WIDTH−1 for wide tiles, then for those of one vector.
#define TILES(p, wide, call)                                            \
    do {                                                                \
        int col = 0;                                                    \
        for (; col + (wide) * WIDTH <= PADDED(p); col += (wide) * WIDTH) { \
            call(wide);                                                 \
        }                                                               \
        for (; col < PADDED(p); col += WIDTH) {                         \
            call(1);                                                    \
        }                                                               \
    } while (0)
#define TILED(f, v) CAT(CAT(f, _), v)

// Places in theta of layer l's weights and biases, and in acts of h and dz.
#define W_1 0
#define B_1 (W_1 + (ulong)N0 * STRIDE(N1))
#define P_1 STRIDE(N1)
#define N_1 N0
#if LAYERS > 1
#define W_2 (B_1 + P_1)
#define B_2 (W_2 + (ulong)N1 * STRIDE(N2))
#define P_2 STRIDE(N2)
#define N_2 N1
#define T_2 0
#define H_1 0
#else
#define P_2 0
#endif
#if LAYERS > 2
#define W_3 (B_2 + P_2)
#define B_3 (W_3 + (ulong)N2 * STRIDE(N3))
#define P_3 STRIDE(N3)
#define N_3 N2
#define T_3 (T_2 + (ulong)P_2 * P_1)
#define H_2 (H_1 + P_1)
#else
#define P_3 0
#endif
#if LAYERS > 3
#define W_4 (B_3 + P_3)
#define B_4 (W_4 + (ulong)N3 * STRIDE(N4))
#define P_4 STRIDE(N4)
#define N_4 N3
#define T_4 (T_3 + (ulong)P_3 * P_2)
#define H_3 (H_2 + P_2)
#endif
#if LAYERS == 1
#define D_1 0
#define CLASSES N1
#elif LAYERS == 2
#define D_1 P_1
#define D_2 (D_1 + P_1)
#define CLASSES N2
#elif LAYERS == 3
#define D_1 (P_1 + P_2)
#define D_2 (D_1 + P_1)
#define D_3 (D_2 + P_2)
#define CLASSES N3
#else
#define D_1 (P_1 + P_2 + P_3)
#define D_2 (D_1 + P_1)
#define D_3 (D_2 + P_2)
#define D_4 (D_3 + P_3)
#define CLASSES N4
#endif
#define D_LAST CAT(D_, LAYERS)
#define SCORES (PADDED(CLASSES) / WIDTH)

// Row i of layer l's output or derivative.
#define H(l, i) (acts + (ulong)cap * CAT(H_, l) + (ulong)(i) * CAT(P_, l))
#define D(l, i) (acts + (ulong)cap * CAT(D_, l) + (ulong)(i) * CAT(P_, l))

#ifndef RULE
static inline float sum_of(const vector v)
{
    const float8 a = v.lo + v.hi;
    const float4 b = a.lo + a.hi;
    return (b.x + b.z) + (b.y + b.w);
}

static inline float largest_of(const vector v)
{
    const float8 a = fmax(v.lo, v.hi);
    const float4 b = fmax(a.lo, a.hi);
    return fmax(fmax(b.x, b.z), fmax(b.y, b.w));
}

// Replaces a row of logits by (softmax(z) − onehot(y))·scale, adds its loss, and returns whether
// its largest logit, the lowest class among equals, is the label's.
static inline int loss_of(global float *z, const int y, const float scale, float *loss)
{
    const int16 lanes = (int16)(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    const float label = z[y];
    vector top = -INFINITY;
    int16 above = 0; // −1 where another class goes before the label's
    for (int v = 0; v < SCORES; v++) {
        const int16 class = lanes + v * WIDTH;
        const vector x = LOAD(v, z);
        top = fmax(top, select((vector)-INFINITY, x, class < CLASSES));
        above |= (class < CLASSES) & (((x > label) & (class != y)) | ((x == label) & (class < y)));
    }
    const float largest = largest_of(top);
    vector sums = 0.0f;
    for (int v = 0; v < SCORES; v++) {
        const vector e = select((vector)0.0f, exp(LOAD(v, z) - largest), lanes + v * WIDTH < CLASSES);
        sums += e;
        STORE(e, v, z);
    }
    const float sum = sum_of(sums);
    *loss += log(sum) - (label - largest); // a NaN among the logits is one in sum
    const float factor = scale / sum;
    for (int v = 0; v < SCORES; v++)
        STORE(LOAD(v, z) * factor, v, z);
    z[y] -= scale;
    return !any(above);
}

// Rows along dimension 0: work-item s takes its share of the block's groups.
kernel __attribute__((reqd_work_group_size(1, 1, 1)))
void step_rows(
    const int B, const int cap, const float scale,                        // 1/m
    global const uint *restrict starts, const ulong group_at,
    global const ushort *restrict index, global const uchar *restrict values,
    global const float *restrict table,
    global const int *restrict labels, const ulong label_at,              // B
    global const float *restrict theta,
    global const float *restrict wt,
    global float *acts,                                                   // cap rows, a multiple of DENSE_ROWS
    global int2 *restrict losses)                                         // S: loss as float bits, correct rows
{
    const int s = get_global_id(0), parts = get_global_size(0);
    const int blocks = (B + DENSE_ROWS - 1) / DENSE_ROWS;
    const int first = (int)((long)s * blocks / parts) * DENSE_ROWS;
    const int end = (int)((long)(s + 1) * blocks / parts) * DENSE_ROWS;
    starts += group_at;
    labels += label_at;

#if LAYERS > 1
#define OUT_1(i) H(1, i)
#else
#define OUT_1(i) D(1, i)
#endif
#define FORWARD_PACKED(v)                                                                      \
    for (int i = first; i < SMALLER(end, B); i += ITEM_ROWS)                                   \
        TILED(forward_packed, v)(starts[i / ITEM_ROWS], starts[i / ITEM_ROWS + 1], index, values, table, \
            theta + W_1 + col, P_1, theta + B_1 + col, LAYERS > 1, OUT_1(i) + col, P_1)
    TILES(N1, PACKED, FORWARD_PACKED);

#define FORWARD_DENSE(v, l, from, out)                                                         \
    for (int i = first; i < end; i += DENSE_ROWS)                                              \
        TILED(forward_dense, v)(CAT(N_, l), H(from, i), CAT(P_, from), theta + CAT(W_, l) + col, CAT(P_, l), \
            theta + CAT(B_, l) + col, LAYERS > l, out(l, i) + col, CAT(P_, l))
#if LAYERS > 1
#if LAYERS > 2
#define FORWARD_2(v) FORWARD_DENSE(v, 2, 1, H)
#else
#define FORWARD_2(v) FORWARD_DENSE(v, 2, 1, D)
#endif
    TILES(N2, DENSE, FORWARD_2);
#endif
#if LAYERS > 2
#if LAYERS > 3
#define FORWARD_3(v) FORWARD_DENSE(v, 3, 2, H)
#else
#define FORWARD_3(v) FORWARD_DENSE(v, 3, 2, D)
#endif
    TILES(N3, DENSE, FORWARD_3);
#endif
#if LAYERS > 3
#define FORWARD_4(v) FORWARD_DENSE(v, 4, 3, D)
    TILES(N4, DENSE, FORWARD_4);
#endif

    float loss = 0.0f;
    int correct = 0;
    for (int i = first; i < SMALLER(end, B); i++)
        correct += loss_of(D(LAYERS, i), labels[i], scale, &loss);
    losses[s] = (int2)(as_int(loss), correct);

#define BACKWARD(v, l, to)                                                                     \
    for (int i = first; i < end; i += DENSE_ROWS)                                              \
        TILED(backward_dense, v)(CAT(N, l), D(l, i), CAT(P_, l), wt + CAT(T_, l) + col, CAT(P_, to), \
            H(to, i) + col, D(to, i) + col, CAT(P_, to))
#if LAYERS > 3
#define BACKWARD_4(v) BACKWARD(v, 4, 3)
    TILES(N3, DENSE, BACKWARD_4);
#endif
#if LAYERS > 2
#define BACKWARD_3(v) BACKWARD(v, 3, 2)
    TILES(N2, DENSE, BACKWARD_3);
#endif
#if LAYERS > 1
#define BACKWARD_2(v) BACKWARD(v, 2, 1)
    TILES(N1, DENSE, BACKWARD_2);
#endif
}

#else
// Weights along dimension 0: first those of layer 1, RANGES ranges of features for each tile of
// columns, then RANGES ranges of inputs of each other layer, with all columns. The first of them
// adds the losses too.
kernel __attribute__((reqd_work_group_size(1, 1, 1)))
void step_columns(
    const int B, const int cap, const int iteration, const int parts, const int record, FACTORS,
    global const uint *restrict starts, const ulong feature_at,
    global const ushort *restrict rows, global const uchar *restrict values,
    global const float *restrict table,
    global float *restrict theta, global float *restrict a, global float *restrict b,
    global float *restrict wt,
    global const float *restrict acts,
    global const int2 *restrict losses,
    global int *state)                       // a recorder: first iteration not finite, –, then loss and correct rows
{
    const int id = get_global_id(0), range = id % RANGES, task = id / RANGES;
    vector wrong = 0.0f;
    starts += feature_at;

#define TILES_1 ((PADDED(N1) / WIDTH + GRADIENT - 1) / GRADIENT)
    if (task < TILES_1) {
        const int first = range * N0 / RANGES, end = (range + 1) * N0 / RANGES;
        int col = task * GRADIENT * WIDTH;
#define STEP_1(v)                                                                              \
    do {                                                                                       \
        TILED(step_packed, v)(first, end, starts, rows, values, table, D(1, 0) + col, P_1,     \
            theta + W_1 + col, a + W_1 + col, b + W_1 + col, P_1, &wrong, FACTOR_NAMES);       \
        if (range == 0)                                                                        \
            TILED(step_bias, v)(B, D(1, 0) + col, P_1, theta + B_1 + col, a + B_1 + col, b + B_1 + col, &wrong, FACTOR_NAMES); \
    } while (0)
        if (col + GRADIENT * WIDTH <= PADDED(N1))
            STEP_1(GRADIENT);
        else
            for (; col < PADDED(N1); col += WIDTH)
                STEP_1(1);
    }
#define STEP_DENSE(v, l, from)                                                                 \
    do {                                                                                       \
        for (int j = first; j < end; j += DENSE_ROWS)                                          \
            TILED(step_dense, v)(B, CAT(N_, l), j, H(from, 0), CAT(P_, from), D(l, 0) + col, CAT(P_, l), \
                theta + CAT(W_, l) + col, a + CAT(W_, l) + col, b + CAT(W_, l) + col, CAT(P_, l), \
                wt + CAT(T_, l) + (ulong)col * CAT(P_, from), CAT(P_, from), &wrong, FACTOR_NAMES); \
        if (range == 0)                                                                        \
            TILED(step_bias, v)(B, D(l, 0) + col, CAT(P_, l), theta + CAT(B_, l) + col, a + CAT(B_, l) + col, b + CAT(B_, l) + col, &wrong, FACTOR_NAMES); \
    } while (0)
#define STEP_LAYER(l, call)                                                                    \
    if (task == TILES_1 + l - 2) {                                                             \
        const int tiles = (CAT(N_, l) + DENSE_ROWS - 1) / DENSE_ROWS;                          \
        const int first = range * tiles / RANGES * DENSE_ROWS, end = (range + 1) * tiles / RANGES * DENSE_ROWS; \
        TILES(CAT(N, l), DENSE, call);                                                         \
    }
#if LAYERS > 1
#define STEP_2(v) STEP_DENSE(v, 2, 1)
    STEP_LAYER(2, STEP_2)
#endif
#if LAYERS > 2
#define STEP_3(v) STEP_DENSE(v, 3, 2)
    STEP_LAYER(3, STEP_3)
#endif
#if LAYERS > 3
#define STEP_4(v) STEP_DENSE(v, 4, 3)
    STEP_LAYER(4, STEP_4)
#endif

    if (id == 0) {
        float loss = 0.0f;
        int correct = 0;
        for (int s = 0; s < parts; s++) {
            loss += as_float(losses[s].x);
            correct += losses[s].y;
        }
        state[2 + 2 * record] = as_int(loss);
        state[3 + 2 * record] = correct;
    }
    if (any(wrong != wrong))
        atomic_cmpxchg(state, 0, iteration);
}
#endif
