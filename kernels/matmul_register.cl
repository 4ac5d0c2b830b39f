// C = epilogue(A·B) for devices whose work-items are whole cores with wide
// vector registers (CPUs): one work-item keeps a tile of ITEM_ROWS × ITEM_COLS
// outputs in registers and walks all K terms. No local memory, no barriers.
//
//          k                    ITEM_COLS                 ITEM_COLS
//       +------+              +---------+               +---------+
//   A   | rows |  ITEM_ROWS   | B panel | k        C    |  tile   | ITEM_ROWS
//       +------+              +---------+               +---------+
//
// Each step loads ITEM_COLS/WIDTH vectors of B, broadcasts one element of each
// of ITEM_ROWS rows of A and does ITEM_ROWS·ITEM_COLS multiply-adds. The sum of
// one output runs over k in order, whatever the tile: every tile size gives the
// same bits.
//
// Work-items along dimension 0 take tiles of columns, along dimension 1 tiles of
// rows: work-groups run with dimension 0 first, so the rows of A that a core has
// fetched serve all its tiles of columns, and B stays in the second-level cache.
// The other way round A came from memory once a tile of columns (157 GFLOP/s
// where this order has 220 to 247, 60000×784·784×128 on two Sapphire Rapids cores
// with PoCL 3.1). B copied into panels of ITEM_COLS was slower (202). The last tile
// of either direction is moved back so that it ends at the edge, and stores only what
// no other tile stores: no masked loads, and no two work-items write one element. So
// M ≥ ITEM_ROWS and the padded N ≥ ITEM_COLS are required of the caller.
//
// Parameters:
//   ITEM_ROWS  rows of a tile
//   ITEM_COLS  columns of a tile, a multiple of WIDTH
//   WIDTH      elements of a vector: 4, 8 or 16
//   EPILOGUE   BIAS: C = A·B + e (e: N), or ReLU(A·B + e) where relu is set, which is
//              an argument because every program costs its compilation
//              MASK: C = (A·B) ⊙ [E > 0] (E: M×N; may be C itself)

kernel __attribute__((reqd_work_group_size(1, 1, 1)))
void matmul(
    const int M, const int N, const int K, const int relu, // N is padded: a multiple of WIDTH
    global const float *restrict a, const ulong a_at, const int lda,  // M×K
    global const float *restrict b, const ulong b_at, const int ldb,  // K×N
    global const float *e, const ulong e_at, const int lde,     // N, or M×N
    global float *c, const ulong c_at, const int ldc)           // M×N
{
    const int own_row = get_global_id(1) * ITEM_ROWS;  // the first row that this tile stores
    const int own_col = get_global_id(0) * ITEM_COLS;
    const int row = min(own_row, M - ITEM_ROWS);
    const int col = min(own_col, N - ITEM_COLS);
    a += a_at + (ulong)row * lda;
    b += b_at + col;

    vector sum[ITEM_ROWS][VECTORS];
#pragma unroll
    for (int i = 0; i < ITEM_ROWS; i++)
#pragma unroll
        for (int v = 0; v < VECTORS; v++)
            sum[i][v] = 0.0f;

    for (int k = 0; k < K; k++) {
        vector y[VECTORS];
#pragma unroll
        for (int v = 0; v < VECTORS; v++)
            y[v] = LOAD(v, b);
#pragma unroll
        for (int i = 0; i < ITEM_ROWS; i++) {
            const vector x = a[(ulong)i * lda + k];
#pragma unroll
            for (int v = 0; v < VECTORS; v++)
                sum[i][v] = fma(x, y[v], sum[i][v]);
        }
        b += ldb;
    }

#pragma unroll
    for (int i = 0; i < ITEM_ROWS; i++) {
        if (row + i < own_row)
            continue;
#pragma unroll
        for (int v = 0; v < VECTORS; v++) {
            const int j = col + v * WIDTH;
            if (j < own_col)
                continue;
            vector s = sum[i][v];
#if EPILOGUE == MASK
            const vector mask = LOAD(0, e + e_at + (ulong)(row + i) * lde + j);
            s = select((vector)0.0f, s, mask > 0.0f);
#else
            s += LOAD(0, e + e_at + j);
            if (relu)
                s = select(s, (vector)0.0f, s < 0.0f);
#endif
            STORE(s, 0, c + c_at + (ulong)(row + i) * ldc + j);
        }
    }
}
