// The scaling of input, taken out of the products. Packed input holds only
// what is not 0, so of x = y + z, z being what a byte of 0 becomes in each
// feature, it holds y = f·t, t the entries of a table and f a factor a feature; input
// that is kept as bytes holds t, the bytes themselves:
//
//   x·W + b = t·(f ⊙ W) + (b + z·W)
//   xᵀ·dz   = f ⊙ (tᵀ·dz) + zᵀ ⊗ Σ rows of dz
//
// The second terms are of rank one, and cost what one row of the batch costs.
//
// affine holds f and z of each feature.

// wf = f ⊙ W and bf = b + z·W: work-item j takes column j, rows in order. p is padded, so that
// the padding of wf is that of W.
kernel void affine_weights(
    const int n, const int p,
    global const float2 *affine,                                // n
    global const float *w, const ulong w_at, const int ldw,   // n×p
    global const float *b, const ulong b_at,                  // p
    global float *wf, const ulong wf_at, const int ldf,       // n×p
    global float *bf, const ulong bf_at)                      // p
{
    const int j = get_global_id(0);
    if (j >= p)
        return;
    w += w_at + j;
    wf += wf_at + j;
    float sum = 0.0f;
    for (int i = 0; i < n; i++) {
        const float v = w[(ulong)i * ldw];
        wf[(ulong)i * ldf] = affine[i].x * v;
        sum = fma(affine[i].y, v, sum);
    }
    bf[bf_at + j] = b[b_at + j] + sum;
}

// The same in two kernels for devices with many small cores: an element a work-item, and
// AFFINE_COLS columns a work-group, whose work-items share the rows. Nothing but the
// factors is to be done where no feature is shifted.
#define AFFINE_COLS 16
#define AFFINE_ROWS (GROUP_SIZE / AFFINE_COLS)

kernel void scale_weights(
    const int n, const int p,
    global const float2 *affine,                                // n
    global const float *w, const ulong w_at, const int ldw,   // n×p
    global float *wf, const ulong wf_at, const int ldf)       // n×p
{
    const int j = get_global_id(0);
    const int i = get_global_id(1);
    if (i < n && j < p)
        wf[wf_at + (ulong)i * ldf + j] = affine[i].x * w[w_at + (ulong)i * ldw + j];
}

kernel __attribute__((reqd_work_group_size(AFFINE_COLS, AFFINE_ROWS, 1)))
void affine_bias(
    const int n, const int p,
    global const float2 *affine,                                // n
    global const float *w, const ulong w_at, const int ldw,   // n×p
    global const float *b, const ulong b_at,                  // p
    global float *bf, const ulong bf_at)                      // p
{
    local float part[AFFINE_ROWS][AFFINE_COLS];
    const int x = get_local_id(0);
    const int y = get_local_id(1);
    const int j = get_group_id(0) * AFFINE_COLS + x;
    float sum = 0.0f;
    if (j < p)
#pragma unroll 4
        for (int i = y; i < n; i += AFFINE_ROWS)
            sum = fma(affine[i].y, w[w_at + (ulong)i * ldw + j], sum);
    part[y][x] = sum;
    barrier(CLK_LOCAL_MEM_FENCE);
    if (y == 0 && j < p) {
        for (int r = 1; r < AFFINE_ROWS; r++)
            sum += part[r][x];
        bf[bf_at + j] = b[b_at + j] + sum;
    }
}

// What add_partials (reduce.cl) does, with the partials of t: gb[j] = d[j] and
// g[i][j] = f[i]·Σ_s part[s][i][j] + z[i]·d[j], d[j] = Σ_s part[s][n][j], or added.
kernel void add_affine_partials(
    const int splits, const int n, const int p, const int add,
    global const float *part, const int ldp, const int panel,  // splits×(n+1)×ldp
    global const float2 *affine,                                 // n
    global float *g, const ulong g_at, const int ldg,          // n×p
    global float *gb, const ulong gb_at)                       // p
{
    const int j = get_global_id(0);
    const int i = get_global_id(1);
    if (i > n || j >= p)
        return;
    const ulong size = (ulong)(n + 1) * ldp;
    const int q = j / panel;  // j % panel: see add_partials
    part += (ulong)q * (n + 1) * panel + (j - q * panel);
    float sum = 0.0f, d = 0.0f;
    for (int s = 0; s < splits; s++) {
        sum += part[s * size + (ulong)i * panel];
        d += part[s * size + (ulong)n * panel];
    }
    global float *to = gb + gb_at + j;
    if (i < n) {
        to = g + g_at + (ulong)i * ldg + j;
        d = fma(affine[i].x, sum, affine[i].y * d);
    }
    *to = add ? *to + d : d;
}
