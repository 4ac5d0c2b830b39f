// Partial sums of the weight gradient for devices whose work-items are whole
// cores (CPUs). Work-item s takes rows s·B/S … (s+1)·B/S−1 of the block and
// writes its own partial gradient, transposed, with the bias gradient as a last
// column:
//
//   part[s][j][i]     = Σ dz[r][j]·x[r][i]   0 ≤ i < n
//   part[s][j][ldn−1] = Σ dz[r][j]
//
// add_partials (reduce.cl) adds the S partials to the gradient in order.
//
//              ITEM_ROWS outputs       ITEM_COLS features
//            +----+---------+        +---------+---------+
//      DEPTH |tile|  dz     |        |  tile   |    x    |  DEPTH rows at a time
//            +----+---------+        +---------+---------+
//
// Transposed, because x is by far the larger operand (n is, in a first layer): its
// rows are read as vectors, as they stand in memory, and the elements that are
// broadcast, whose order in memory suits nobody, are those of dz. They are copied
// to a panel first, DEPTH rows of up to PANEL outputs at a time. Then every tile
// of features, whose DEPTH rows stay in the first-level cache, meets every tile of
// outputs, its sums in registers; between the steps of DEPTH rows the sums wait in
// the partial, which stays in the second-level cache (n·p·4 bytes). A sum runs
// over r in order, whatever the tile and the DEPTH: only S decides the bits.
//
// 784×128 on two Sapphire Rapids cores with PoCL 3.1, time against the forward
// product of as many operations, alternated in one run (medians; the least times in
// brackets): 1.18 (1.03) for tiles of 8×48 and 1.19 (1.10) for 6×64 with a DEPTH of
// 256; 5×80, 6×64 with 128 or 384 and 12×32 take longer. Without the prefetch, with
// vstore16 and with a scalar sum for the bias it was 1.4 to 1.6. A panel for x too
// gained nothing beside the prefetch. The untransposed kernel, which broadcast x,
// took 2 times as long: it fetched 28 bytes of each row from the second-level cache.
//
// The last tile of either direction is moved back to end at the edge and stores
// only what no other tile stores. p ≥ ITEM_ROWS and the padded n ≥ ITEM_COLS are
// required of the caller.
//
// Parameters:
//   ITEM_ROWS  outputs of a tile
//   ITEM_COLS  features of a tile, a multiple of WIDTH
//   WIDTH      elements of a vector: 4, 8 or 16
//   DEPTH      rows of the block that are taken at a time

// The next tile of features is fetched while this one meets the outputs: the rows
// of x are too short a stretch each for the processor to foresee. OpenCL C's own
// prefetch does nothing in PoCL, so this is the compiler's, and only where it makes
// code for a processor itself: where a translator stands behind it, as in Mesa's
// Rusticl and in Oclgrind, the translator may end the process at what it does not
// know, and __has_builtin cannot tell.
#if (defined(__x86_64__) || defined(__aarch64__)) && __has_builtin(__builtin_prefetch)
#define PREFETCH(address) __builtin_prefetch(address)
#else
#define PREFETCH(address)
#endif

// Outputs of a panel: about 128, whole tiles.
#define PANEL (ITEM_ROWS * ((128 + ITEM_ROWS - 1) / ITEM_ROWS))

kernel __attribute__((reqd_work_group_size(1, 1, 1)))
void weight_gradient_partial(
    const int B, const int n, const int p,                               // n is padded
    global const float *restrict x, const ulong x_at, const int ldx,     // B×n
    global const float *restrict dz, const ulong dz_at, const int lddz,  // B×p
    global float *restrict part, const int ldn)                          // S×p×ldn
{
    const int s = get_global_id(0);
    const int splits = get_global_size(0);
    const int first = (int)((long)s * B / splits);
    const int end = (int)((long)(s + 1) * B / splits);
    part += (ulong)s * p * ldn;
    x += x_at;
    dz += dz_at;
    float panel[DEPTH * PANEL];

    for (int low = first; low < end; low += DEPTH) {
        const int rows = min(DEPTH, end - low);
        for (int begin = 0; begin < p; begin += PANEL) {
            const int outputs = min(PANEL, p - begin);
            for (int tile = 0; tile * ITEM_ROWS < outputs; tile++) {
                const int own_row = begin + tile * ITEM_ROWS;
                const int row = min(own_row, p - ITEM_ROWS);
                global const float *from = dz + (ulong)low * lddz + row;
                float *to = panel + tile * DEPTH * ITEM_ROWS;
                global float *last = part + (ulong)row * ldn + ldn - 1;
                float bias[ITEM_ROWS];
#pragma unroll
                for (int j = 0; j < ITEM_ROWS; j++)
                    bias[j] = low == first ? 0.0f : last[(ulong)j * ldn];
                for (int r = 0; r < rows; r++) {
#pragma unroll
                    for (int j = 0; j < ITEM_ROWS; j++) {
                        to[r * ITEM_ROWS + j] = from[j];
                        bias[j] += from[j];
                    }
                    from += lddz;
                }
#pragma unroll
                for (int j = 0; j < ITEM_ROWS; j++)
                    if (row + j >= own_row)
                        last[(ulong)j * ldn] = bias[j];
            }
            for (int own_col = 0; own_col < n; own_col += ITEM_COLS) {
                const int col = min(own_col, n - ITEM_COLS);
                for (int tile = 0; tile * ITEM_ROWS < outputs; tile++) {
                    const int own_row = begin + tile * ITEM_ROWS;
                    const int row = min(own_row, p - ITEM_ROWS);
                    global const float *f = x + (ulong)low * ldx + col;
                    const float *d = panel + tile * DEPTH * ITEM_ROWS;
                    global float *to = part + (ulong)row * ldn + col;
                    vector sum[ITEM_ROWS][VECTORS];
#pragma unroll
                    for (int j = 0; j < ITEM_ROWS; j++)
#pragma unroll
                        for (int v = 0; v < VECTORS; v++)
                            // Rows that another tile owns are read half done and
                            // not stored.
                            sum[j][v] = low == first ? (vector)0.0f : LOAD(v, to + (ulong)j * ldn);
                    for (int r = 0; r < rows; r++) {
                        vector y[VECTORS];
#pragma unroll
                        for (int v = 0; v < VECTORS; v++)
                            y[v] = LOAD(v, f);
#pragma unroll
                        for (int j = 0; j < ITEM_ROWS; j++) {
                            const vector dj = d[j];
#pragma unroll
                            for (int v = 0; v < VECTORS; v++)
                                sum[j][v] = fma(dj, y[v], sum[j][v]);
                        }
                        PREFETCH(f + ITEM_COLS + tile % VECTORS * WIDTH);
                        f += ldx;
                        d += ITEM_ROWS;
                    }
                    if (row == own_row && col == own_col) {
#pragma unroll
                        for (int j = 0; j < ITEM_ROWS; j++)
#pragma unroll
                            for (int v = 0; v < VECTORS; v++)
                                STORE(sum[j][v], v, to + (ulong)j * ldn);
                        continue;
                    }
#pragma unroll
                    for (int j = 0; j < ITEM_ROWS; j++)
#pragma unroll
                        for (int v = 0; v < VECTORS; v++)
                            if (row + j >= own_row && col + v * WIDTH >= own_col)
                                STORE(sum[j][v], v, to + (ulong)j * ldn);
                }
            }
        }
    }
}
