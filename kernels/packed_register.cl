// The first layer's products over packed input, for devices whose work-items are
// whole cores (CPUs).
//
// The input never changes, and where most of its bytes are 0 (pixels of digits
// are, four in five) a product that skips them does less than half the work. So
// rows are packed once, ITEM_ROWS at a time: a group lists the features that are
// not 0 in all of its rows, and for each of them the bytes of its rows.
//
//   starts[g] … starts[g+1]−1   the entries of group g
//   index[q]                    the feature of entry q, ascending within a group
//   values[q·ITEM_ROWS + i]     its byte in row i of the group; 0 beyond the batch
//   table[v]                    the value of byte v; table[0] is 0
//
// Where scaling leaves a byte of 0 at 0, the table holds the scaled values and
// x is what the products are of. Otherwise affine.cl says what they are of.
//
// A sum runs over the same products in the same order as that of the dense
// kernels, less those that are 0.
//
// Parameters:
//   ITEM_ROWS  rows of a group
//   ITEM_COLS  columns of a tile, a multiple of WIDTH that divides the padded p
//   WIDTH      elements of a vector: 4, 8 or 16

// h = act(x·W + b). Work-items along dimension 0 take groups, along dimension 1
// tiles of columns.
kernel __attribute__((reqd_work_group_size(1, 1, 1)))
void forward_packed(
    const int B, const int p, const int relu,  // p is padded
    global const uint *restrict starts, const ulong group_at,
    global const ushort *restrict index, global const uchar *restrict values,
    global const float *restrict table,
    global const float *restrict w, const ulong w_at, const int ldw,  // n×p
    global const float *restrict b, const ulong b_at,                 // p
    global float *restrict h, const ulong h_at, const int ldh)        // B×p
{
    const int g = get_global_id(0);
    const int col = get_global_id(1) * ITEM_COLS;
    w += w_at + col;

    vector sum[ITEM_ROWS][VECTORS];
#pragma unroll
    for (int i = 0; i < ITEM_ROWS; i++)
#pragma unroll
        for (int v = 0; v < VECTORS; v++)
            sum[i][v] = 0.0f;

    const ulong end = starts[group_at + g + 1];
    for (ulong q = starts[group_at + g]; q < end; q++) {
        global const float *from = w + (ulong)index[q] * ldw;
        vector y[VECTORS];
#pragma unroll
        for (int v = 0; v < VECTORS; v++)
            y[v] = LOAD(v, from);
#pragma unroll
        for (int i = 0; i < ITEM_ROWS; i++) {
            const vector x = table[values[q * ITEM_ROWS + i]];
#pragma unroll
            for (int v = 0; v < VECTORS; v++)
                sum[i][v] = fma(x, y[v], sum[i][v]);
        }
    }

#pragma unroll
    for (int i = 0; i < ITEM_ROWS; i++) {
        const int row = g * ITEM_ROWS + i;
        if (row >= B)
            continue;
#pragma unroll
        for (int v = 0; v < VECTORS; v++) {
            vector s = sum[i][v] + LOAD(v, b + b_at + col);
            if (relu)
                s = select(s, (vector)0.0f, s < 0.0f);
            STORE(s, v, h + h_at + (ulong)row * ldh + col);
        }
    }
}

// Partial sums of the weight gradient, as those of gradient_register.cl, but
// stored in panels of ITEM_COLS columns, one behind the other, each of n + 1 rows. Work-items along
// dimension 0 take ranges of groups, one partial each, along dimension 1 tiles of
// columns. A group's rows of dz stay in registers while the panel's rows pass by.
//
// Why panels: the rows of a row-major partial with p = 128 lie 512 bytes apart, so
// that a tile of 32 columns falls into a quarter of the sets of a first-level
// cache; as a panel its rows lie side by side and most of the active ones stay
// there.
kernel __attribute__((reqd_work_group_size(1, 1, 1)))
void weight_gradient_packed(
    const int B, const int n, const int p,  // p is padded
    global const uint *restrict starts, const ulong group_at,
    global const ushort *restrict index, global const uchar *restrict values,
    global const float *restrict table,
    global const float *restrict dz, const ulong dz_at, const int lddz,  // B×p
    global float *restrict part)                                         // S×p/ITEM_COLS×(n+1)×ITEM_COLS
{
    const int s = get_global_id(0);
    const int splits = get_global_size(0);
    const int col = get_global_id(1) * ITEM_COLS;
    const int groups = (B + ITEM_ROWS - 1) / ITEM_ROWS;
    const int first = (int)((long)s * groups / splits);
    const int last = (int)((long)(s + 1) * groups / splits);
    dz += dz_at + col;
    part += ((ulong)s * p + col) * (n + 1);

    for (int i = 0; i < n; i++)
#pragma unroll
        for (int v = 0; v < VECTORS; v++)
            STORE((vector)0.0f, v, part + (ulong)i * ITEM_COLS);
    vector bias[VECTORS];
#pragma unroll
    for (int v = 0; v < VECTORS; v++)
        bias[v] = 0.0f;

    for (int g = first; g < last; g++) {
        vector d[ITEM_ROWS][VECTORS];
#pragma unroll
        for (int i = 0; i < ITEM_ROWS; i++) {
            const int row = g * ITEM_ROWS + i;
#pragma unroll
            for (int v = 0; v < VECTORS; v++) {
                d[i][v] = row < B ? LOAD(v, dz + (ulong)row * lddz) : (vector)0.0f;
                bias[v] += d[i][v];
            }
        }
        const ulong end = starts[group_at + g + 1];
        for (ulong q = starts[group_at + g]; q < end; q++) {
            global float *to = part + (ulong)index[q] * ITEM_COLS;
            vector sum[VECTORS];
#pragma unroll
            for (int v = 0; v < VECTORS; v++)
                sum[v] = LOAD(v, to);
#pragma unroll
            for (int i = 0; i < ITEM_ROWS; i++) {
                const vector x = table[values[q * ITEM_ROWS + i]];
#pragma unroll
                for (int v = 0; v < VECTORS; v++)
                    sum[v] = fma(x, d[i][v], sum[v]);
            }
#pragma unroll
            for (int v = 0; v < VECTORS; v++)
                STORE(sum[v], v, to);
        }
    }
#pragma unroll
    for (int v = 0; v < VECTORS; v++)
        STORE(bias[v], v, part + (ulong)n * ITEM_COLS);
}

// The gradient from those partial sums, split after split: gb[j] = d[j] and
// g[i][j] = Σ_s part[s][i][j], or where the input's scaling is held apart (affine.cl)
// g[i][j] = f[i]·Σ_s part[s][i][j] + z[i]·d[j]; or added to what g and gb hold.
// Work-items along dimension 0 take RUN rows of a panel, along dimension 1 panels.
//
// Beside add_partials (reduce.cl), which takes an element a work-item and divides to
// find its place, this takes a fifth of the time (785×128, two partials).
#define RUN 16

kernel __attribute__((reqd_work_group_size(1, 1, 1)))
void add_partials_packed(
    const int splits, const int n, const int p, const int add, const int scaled,  // p is padded
    global const float *restrict part,                          // S×p/ITEM_COLS×(n+1)×ITEM_COLS
    global const float2 *restrict affine,                       // n, where scaled is set
    global float *restrict g, const ulong g_at, const int ldg,  // n×p
    global float *restrict gb, const ulong gb_at)               // p
{
    const int first = get_global_id(0) * RUN;
    const int end = min(first + RUN, n + 1);
    const int col = get_global_id(1) * ITEM_COLS;
    const ulong size = (ulong)(n + 1) * p;
    part += (ulong)col * (n + 1);
    g += g_at + col;
    gb += gb_at + col;

    vector d[VECTORS];
#pragma unroll
    for (int v = 0; v < VECTORS; v++)
        d[v] = 0.0f;
    for (int s = 0; s < splits; s++)
#pragma unroll
        for (int v = 0; v < VECTORS; v++)
            d[v] += LOAD(v, part + s * size + (ulong)n * ITEM_COLS);

    for (int i = first; i < end; i++) {
        global float *to = i < n ? g + (ulong)i * ldg : gb;
        const float2 a = scaled && i < n ? affine[i] : (float2)(1.0f, 0.0f);
#pragma unroll
        for (int v = 0; v < VECTORS; v++) {
            vector sum = LOAD(v, part + (ulong)i * ITEM_COLS);
            for (int s = 1; s < splits; s++)
                sum += LOAD(v, part + s * size + (ulong)i * ITEM_COLS);
            if (scaled && i < n)
                sum = fma(a.x, sum, a.y * d[v]);
            if (add)
                sum += LOAD(v, to);
            STORE(sum, v, to);
        }
    }
}
