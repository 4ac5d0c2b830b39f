// Partial sums of the weight gradient for devices whose work-items are whole
// cores (CPUs). Work-item s takes rows s·B/S … (s+1)·B/S−1 of the block and
// writes its own partial gradient, whose last row is the bias gradient:
//
//   part[s][i][j] = Σ x[r][i]·dz[r][j]   0 ≤ i < n
//   part[s][n][j] = Σ dz[r][j]
//
// add_partials (reduce.cl) adds the S partials to the gradient in order.
//
//              ITEM_ROWS             ITEM_COLS
//            +----+----------+     +---------+-----+
//      DEPTH |tile|  x       |     |  tile   | dz  |  DEPTH rows at a time, so
//            +----+----------+     +---------+-----+  that both stay in cache
//            |    :          |     |         :     |
//
// Within DEPTH rows every tile of ITEM_ROWS features × ITEM_COLS outputs is
// taken in turn, its sums in registers; between them the sums wait in the
// partial, which stays in the second-level cache (n·p·4 bytes). A sum runs over
// r in order, whatever the tile and the DEPTH: only S decides the bits.
//
// The last tile of either direction is moved back to end at the edge and stores
// only what no other tile stores. n ≥ ITEM_ROWS and the padded p ≥ ITEM_COLS
// are required of the caller.
//
// Parameters:
//   ITEM_ROWS  features of a tile
//   ITEM_COLS  outputs of a tile, a multiple of WIDTH
//   WIDTH      elements of a vector: 4, 8 or 16
//   DEPTH      rows of the block that are taken at a time

kernel __attribute__((reqd_work_group_size(1, 1, 1)))
void weight_gradient_partial(
    const int B, const int n, const int p,                               // p is padded
    global const float *restrict x, const ulong x_at, const int ldx,     // B×n
    global const float *restrict dz, const ulong dz_at, const int lddz,  // B×p
    global float *restrict part)                                         // S×(n+1)×p
{
    const int s = get_global_id(0);
    const int splits = get_global_size(0);
    const int first = (int)((long)s * B / splits);
    const int end = (int)((long)(s + 1) * B / splits);
    part += (ulong)s * (n + 1) * p;
    x += x_at;
    dz += dz_at;

    for (int low = first; low < end; low += DEPTH) {
        const int rows = min(DEPTH, end - low);
        for (int own_col = 0; own_col < p; own_col += ITEM_COLS) {
            const int col = min(own_col, p - ITEM_COLS);
            global const float *d0 = dz + (ulong)low * lddz + col;
            for (int own_row = 0; own_row < n; own_row += ITEM_ROWS) {
                const int row = min(own_row, n - ITEM_ROWS);
                global const float *f = x + (ulong)low * ldx + row;
                global const float *d = d0;
                global float *to = part + (ulong)row * p + col;
                vector sum[ITEM_ROWS][VECTORS];
#pragma unroll
                for (int i = 0; i < ITEM_ROWS; i++)
#pragma unroll
                    for (int v = 0; v < VECTORS; v++)
                        // Rows that another tile owns are read half done and not
                        // stored.
                        sum[i][v] = low == first ? (vector)0.0f : LOAD(v, to + (ulong)i * p);
                for (int r = 0; r < rows; r++) {
                    vector y[VECTORS];
#pragma unroll
                    for (int v = 0; v < VECTORS; v++)
                        y[v] = LOAD(v, d);
#pragma unroll
                    for (int i = 0; i < ITEM_ROWS; i++) {
                        const vector xi = f[i];
#pragma unroll
                        for (int v = 0; v < VECTORS; v++)
                            sum[i][v] = fma(xi, y[v], sum[i][v]);
                    }
                    f += ldx;
                    d += lddz;
                }
#pragma unroll
                for (int i = 0; i < ITEM_ROWS; i++) {
                    if (row + i < own_row)
                        continue;
#pragma unroll
                    for (int v = 0; v < VECTORS; v++)
                        if (col + v * WIDTH >= own_col)
                            STORE(sum[i][v], v, to + (ulong)i * p);
                }
            }
        }
        for (int j = 0; j < p; j += WIDTH) {
            vector sum = low == first ? (vector)0.0f : LOAD(0, part + (ulong)n * p + j);
            for (int r = low; r < low + rows; r++)
                sum += LOAD(0, dz + (ulong)r * lddz + j);
            STORE(sum, 0, part + (ulong)n * p + j);
        }
    }
}
